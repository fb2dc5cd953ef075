"""How often Python looks for garbage."""

import gc

from twisted.trial.unittest import SynchronousTestCase

from lab.commands.collecting import YOUNG, CollectorService


class CollectorTests(SynchronousTestCase):
    """While the service runs, and after."""

    def test_less_often(self) -> None:
        """There have to be more young objects, unless somebody wants more still, or none at all."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        for before, while_it_runs in ((700, YOUNG), (YOUNG + 1, YOUNG + 1), (0, 0)):
            gc.set_threshold(before, 11, 12)
            service = CollectorService()
            service.startService()
            self.assertEqual(gc.get_threshold(), (while_it_runs, 11, 12))
            service.stopService()
            self.assertEqual(gc.get_threshold(), (before, 11, 12))

    def test_never_started(self) -> None:
        """What was not started leaves everything as it is."""
        before = gc.get_threshold()
        CollectorService().stopService()
        self.assertEqual(gc.get_threshold(), before)
