"""The errors of the laboratory."""

import inspect

from twisted.trial.unittest import SynchronousTestCase

from lab import errors


class ErrorsTests(SynchronousTestCase):
    """What can be caught with what."""

    def test_one_base(self) -> None:
        """Whoever catches `LabError` catches them all, with the text that they were made with."""
        found = [e for _, e in inspect.getmembers(errors, inspect.isclass)]
        self.assertEqual(len(found), 6)
        for error in found:
            self.assertIsInstance(error("no way"), errors.LabError)
            self.assertEqual(str(error("no way")), "no way")

    def test_refused_is_unreachable(self) -> None:
        """Who only wants to know whether there was a way need not know of refusals."""
        self.assertTrue(issubclass(errors.ConnectionRefused, errors.Unreachable))

    def test_others_are_apart(self) -> None:
        """None of the others is caught with another."""
        apart = (errors.LocalError, errors.RemoteError, errors.NoAnswer, errors.Unreachable)
        for one in apart:
            self.assertEqual([e for e in apart if issubclass(one, e)], [one])
