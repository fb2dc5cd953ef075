"""Which services can be measured."""

from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.plan import SERVICES
from lab.experiments.subjects import SUBJECTS


class SubjectsTests(SynchronousTestCase):
    """All that a plan may name."""

    def test_all(self) -> None:
        """There is one for each service of a plan."""
        self.assertEqual(sorted(SUBJECTS), sorted(SERVICES))
