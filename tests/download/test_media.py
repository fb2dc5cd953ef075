"""What a file is by its name."""

from twisted.trial.unittest import SynchronousTestCase

from lab.download.media import media_type


class MediaTests(SynchronousTestCase):
    """Types of files."""

    def test_types(self) -> None:
        """By the ending; what is packed is not said to be what is in it."""
        for name, found in (
            ("a.html", "text/html"),
            ("a.TXT", "text/plain; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.tar", "application/x-tar"),
            ("a.tar.gz", "application/gzip"),
            ("a.svgz", "application/gzip"),
            ("a.bz2", "application/x-bzip2"),
            ("a.xz", "application/x-xz"),
            ("a.br", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
            ("data:text/html,a", "application/octet-stream"),
            ("http://x", "application/octet-stream"),
            ("\udcff.html", "text/html"),
        ):
            self.assertEqual(media_type(name), found, name)
