"""The talk, with keys as bytes and a screen that is a list of bytes."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from lab.commands.conversation.aside import Aside
from lab.commands.conversation.dialogue import Dialogue
from lab.commands.conversation.editor import Editor
from lab.commands.conversation.keyboard import Keyboard
from lab.commands.conversation.session import Interrupted
from lab.commands.running import INTERRUPTED
from lab.errors import RemoteError
from tests.commands.conversation.helpers import HOME, LEFT, UP, BoundedTestCase, FakeSession


class BrokenSession(FakeSession):
    """Has a bug where completions are made."""

    def complete(self, text: str) -> list[str]:
        """Fail."""
        raise ZeroDivisionError


class SlowSession(FakeSession):
    """Has to look for its completions."""

    def __init__(self, found: Deferred[list[str]]) -> None:
        super().__init__()
        self.found = found

    def complete(self, text: str) -> Any:
        """They come later."""
        return self.found


class DialogueTests(BoundedTestCase):
    """The talk, with keys as bytes and a screen that is a list of bytes."""

    def setUp(self) -> None:
        """Begin to talk."""
        self.columns, self.aside = 40, Aside()
        self.begin(FakeSession())

    def begin(self, session: FakeSession) -> None:
        """Begin to talk with this session."""
        self.session, self.editor, self.keyboard = session, Editor(), Keyboard()
        self.screen = bytearray()
        dialogue = Dialogue(
            self.session,
            "HELP\nTEXT",
            self.editor,
            self.keyboard,
            self.screen.extend,
            lambda: self.columns,
            self.aside,
        )
        self.done = Deferred.fromCoroutine(dialogue.run())

    def shows(self, *, of: bytes = b"") -> bytes:
        """What is written on the screen when these keys are pressed."""
        self.screen.clear()
        self.keyboard.feed(of)
        return bytes(self.screen)

    def test_begins_with_a_prompt(self) -> None:
        """The prompt stands there and the cursor behind it."""
        self.assertEqual(self.screen, b"\r> \x1b[K\r\x1b[2C")

    def test_shows_what_is_typed(self) -> None:
        """The line is drawn again once for each chunk, with the cursor in its place."""
        self.assertEqual(self.shows(of=b"abc" + LEFT), b"\r> abc\x1b[K\r\x1b[4C")

    def test_carries_out_a_line_and_prints_all_rows_of_the_answer(self) -> None:
        """The prompt comes back behind the answer and not before."""
        self.assertEqual(self.shows(of=b"ask\r"), b"\r\x1b[K> ask\n")
        self.screen.clear()
        self.session.answers[0].callback("one\ntwo\n")
        self.assertEqual(self.session.lines, ["ask"])
        self.assertTrue(self.screen.startswith(b"one\ntwo\n\r> "))

    def test_no_answer_prints_nothing(self) -> None:
        """After None and an empty text there is only the prompt."""
        for number, answer in enumerate((None, "")):
            self.shows(of=b"ask\r")
            self.screen.clear()
            self.session.answers[number].callback(answer)
            self.assertTrue(self.screen.startswith(b"\r> "))

    def test_an_error_is_one_line_and_the_talk_goes_on(self) -> None:
        """Whatever a peer put into it, an error is one line without control codes."""
        self.shows(of=b"ask\r")
        self.screen.clear()
        self.session.answers[0].errback(RemoteError("bad\nnews \x1b[2J\u00e9"))
        self.assertTrue(self.screen.startswith("bad\\nnews \\x1b[2J\u00e9\n\r> ".encode()))
        self.assertNoResult(self.done)

    def test_a_bug_ends_the_talk(self) -> None:
        """What is no LabError comes out of it."""
        self.shows(of=b"ask\r")
        self.session.answers[0].errback(ZeroDivisionError())
        self.failureResultOf(self.done, ZeroDivisionError)

    def test_blank_lines_are_no_requests(self) -> None:
        """Enter alone, and behind blanks, gives a new prompt."""
        self.assertTrue(self.shows(of=b"\r  \r").endswith(b"\r> \x1b[K\r\x1b[2C"))
        self.assertEqual((self.session.lines, self.editor.history), ([], []))

    def test_help(self) -> None:
        """The word prints the text and is no request; with a blank before it, it is one."""
        self.assertIn(b"HELP\nTEXT\n\r> ", self.shows(of=b"help\r"))
        self.assertEqual(self.session.lines, [])
        self.shows(of=b" help\r")
        self.assertEqual(self.session.lines, [" help"])

    def test_words_that_end(self) -> None:
        """Both words end the talk with 0."""
        for word in (b"quit\r", b"exit \r"):
            self.begin(FakeSession())
            self.shows(of=word)
            self.assertEqual(self.successResultOf(self.done), 0)

    def test_ctrl_d(self) -> None:
        """It deletes in a line, and ends with 0 on an empty one."""
        self.shows(of=b"a" + HOME + b"\x04")
        self.assertEqual(self.editor.text, "")
        self.assertNoResult(self.done)
        self.assertEqual(self.shows(of=b"\x04"), b"\n")
        self.assertEqual(self.successResultOf(self.done), 0)

    def test_ctrl_c_at_the_prompt(self) -> None:
        """With nothing under way it ends with the code of an interrupt, whatever was typed."""
        self.shows(of=b"abc\x03")
        self.assertEqual(self.successResultOf(self.done), INTERRUPTED)

    def test_ctrl_c_under_way(self) -> None:
        """It cancels the line, drops what was typed ahead, says so and goes on."""
        cancelled: list[Deferred[str | None]] = []
        self.session.begin = lambda text: Deferred(cancelled.append)
        self.shows(of=b"slow\r")
        self.shows(of=b"ahead\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"interrupted\n\r> "))
        self.assertEqual(cancelled, self.session.answers)
        self.assertEqual((self.session.lines, self.editor.text), (["slow"], ""))
        self.assertNoResult(self.done)

    def test_ctrl_c_in_one_chunk_with_the_line(self) -> None:
        """A quick hand interrupts the line and doesn't end the talk; what follows is kept."""
        self.assertIn(b"interrupted\n\r> next", self.shows(of=b"slow\r\x03next"))
        self.assertNoResult(self.done)

    def test_ctrl_c_behind_a_line_that_is_done(self) -> None:
        """A line that is answered at once is not under way: what comes behind it ends the talk."""
        self.session.begin = succeed
        self.assertNotIn(b"interrupted", self.shows(of=b"quick\r\x03"))
        self.assertEqual(self.successResultOf(self.done), INTERRUPTED)

    def test_a_line_that_is_cancelled_by_others(self) -> None:
        """Without Ctrl-C it is no interruption of ours, and ends the talk."""
        self.shows(of=b"slow\r")
        self.session.answers[0].cancel()
        self.failureResultOf(self.done, CancelledError)

    def test_the_terminal_goes_away(self) -> None:
        """A hang-up interrupts the line, and ends the talk with 0."""
        self.shows(of=b"slow\r")
        self.keyboard.hang_up()
        self.assertTrue(self.session.answers[0].called)
        self.assertEqual(self.successResultOf(self.done), 0)

    def test_an_interrupted_line_may_still_say_something(self) -> None:
        """What a cancelled line answers is printed, an error of its is not."""
        self.session.begin = lambda text: Deferred(lambda answer: answer.callback("2 of 9"))
        self.shows(of=b"slow\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"2 of 9\ninterrupted\n\r> "))
        failing = Interrupted("3 of 9")
        self.session.begin = lambda text: Deferred(lambda answer: answer.errback(failing))
        self.shows(of=b"slow\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"3 of 9\ninterrupted\n\r> "))
        self.session.begin = lambda text: Deferred(lambda answer: answer.errback(RemoteError()))
        self.shows(of=b"slow\r")
        self.assertTrue(self.shows(of=b"\x03").startswith(b"interrupted\n\r> "))

    def test_what_is_typed_under_way_is_kept(self) -> None:
        """Keys wait for the answer, and then do what they would have done."""
        self.shows(of=b"one\r")
        self.assertEqual(self.shows(of=b"two\rthree"), b"")
        self.session.answers[0].callback("1")
        self.assertEqual(self.session.lines, ["one", "two"])
        self.session.answers[1].callback("2")
        self.assertEqual((self.editor.text, self.editor.cursor), ("three", 5))

    def test_many_lines_in_one_chunk(self) -> None:
        """Lines that are answered at once need no depth of the stack."""
        self.session.begin = succeed
        self.assertEqual(self.shows(of=b"x\r" * 5000).count(b"> x\nx\n"), 5000)

    def test_recalls_with_the_arrows(self) -> None:
        """Up brings the last line back into the prompt, and Enter asks again."""
        self.shows(of=b"one\r")
        self.session.answers[0].callback("1")
        self.assertIn(b"\r> one\x1b[K", self.shows(of=UP))
        self.shows(of=b"\r")
        self.assertEqual(self.session.lines, ["one", "one"])

    def test_what_happens_is_said_above_the_prompt(self) -> None:
        """What was typed so far stays; without a text only the prompt is drawn anew."""
        self.shows(of=b"abc")
        self.screen.clear()
        self.aside.say("it is here\ntwo")
        said = b"\r\x1b[Kit is here\ntwo\n\r> abc\x1b[K\r\x1b[5C"
        self.assertEqual(self.screen, said)
        self.screen.clear()
        self.session.prompt = ">> "
        self.aside.refresh()
        self.assertEqual(self.screen, b"\r>> abc\x1b[K\r\x1b[6C")

    def test_what_happens_under_way_is_said_at_once(self) -> None:
        """There is no prompt then."""
        self.shows(of=b"slow\r")
        self.screen.clear()
        self.aside.say("it is here")
        self.aside.refresh()
        self.assertEqual(self.screen, b"it is here\n")

    def test_behind_the_end_nothing_is_above(self) -> None:
        """Then there is no prompt any more."""
        self.assertTrue(self.aside.prompted)
        self.shows(of=b"quit\r")
        self.assertFalse(self.aside.prompted)

    def test_the_end_may_be_refused(self) -> None:
        """What a command has against the end is shown, whichever way a person wants to end."""
        for keys in (b"quit\r", b"exit\r", b"\x04", b"\x03"):
            texts = ["2 are running", ""]
            self.aside.leaving = lambda texts=texts: texts.pop(0)  # type: ignore[misc]
            self.begin(FakeSession())
            shown = self.shows(of=keys)
            self.assertTrue(shown.endswith(b"\n2 are running\n\r> \x1b[K\r\x1b[2C"), shown)
            self.assertNoResult(self.done)
            self.shows(of=keys)
            self.assertEqual(self.successResultOf(self.done), 130 if keys == b"\x03" else 0)

    def test_a_command_may_end_the_talk(self) -> None:
        """Its answer is still shown."""
        self.shows(of=b"ask; quit\r")
        self.aside.over = True
        self.screen.clear()
        self.session.answers[0].callback("one")
        self.assertEqual(self.successResultOf(self.done), 0)
        self.assertEqual(self.screen, b"one\n")

    def test_a_terminal_that_is_gone_is_the_end(self) -> None:
        """Nobody is asked then."""
        self.aside.leaving = lambda: "2 are running"
        self.keyboard.hang_up()
        self.assertEqual(self.successResultOf(self.done), 0)

    def test_completions_that_take_their_time(self) -> None:
        """Keys wait for them, and what happens is said above the line."""
        waiting: Deferred[list[str]] = Deferred()
        self.begin(SlowSession(waiting))
        self.assertEqual(self.shows(of=b"al\tz"), b"")
        self.aside.say("it is here")
        self.assertIn(b"it is here\n\r> al\x1b", self.screen)
        waiting.callback(["alpha"])
        self.assertIn(b"> alphaz\x1b", self.screen)

    def test_completes_what_is_common(self) -> None:
        """TAB puts in what all completions share, before the cursor only."""
        self.session.words = ["alpha one", "alpha other", "beta"]
        self.assertIn(b"> alpha o", self.shows(of=b"al\t"))
        self.assertIn(b"> alpha onez\x1b[K\r\x1b[11C", self.shows(of=b"nz" + LEFT + b"\t"))

    def test_lists_what_differs(self) -> None:
        """A second TAB lists the last words below, and draws the line again."""
        self.session.words = ["get one", "get other"]
        self.assertEqual(self.shows(of=b"g\t\t"), b"\none  other\n\r> get o\x1b[K\r\x1b[7C")

    def test_a_long_list_takes_several_rows(self) -> None:
        """What doesn't fit in a row goes on in the next."""
        self.session.words = [f"w{number:03}" for number in range(12)]
        shown = self.shows(of=b"w\t\t")
        self.assertIn(b"w000  w001  w002  w003  w004  w005\nw006", shown)

    def test_our_words_are_completed_too(self) -> None:
        """TAB knows help and quit."""
        self.assertIn(b"> help\x1b", self.shows(of=b"he\t"))
        self.assertIn(b"\nhelp  quit\n", self.shows(of=b"\x15\t"))

    def test_nothing_to_complete_rings(self) -> None:
        """No completion, one that is there already, and unfit ones ring the bell."""
        self.session.words = ["al", "al\x1b", "other"]
        self.assertEqual(self.shows(of=b"al\t"), b"\r> al\x1b[K\r\x1b[4C\a")
        self.assertNotIn(b"\a", self.shows(of=b"x"))

    def test_a_bug_in_complete_ends_the_talk(self) -> None:
        """It comes out of the talk like any other."""
        self.begin(BrokenSession())
        self.shows(of=b"\t")
        self.failureResultOf(self.done, ZeroDivisionError)

    def test_a_long_line_is_shown_in_part_and_then_whole(self) -> None:
        """What is drawn stays in the row while it is typed; Enter shows the whole line."""
        text = b"".join(b"%02d" % number for number in range(50))
        for keys in (text, HOME):
            drawn = self.shows(of=keys).removeprefix(b"\r").partition(b"\x1b")[0]
            self.assertLess(len(drawn), self.columns)
        self.assertEqual(len(drawn), self.columns - 1)
        self.assertTrue(self.shows(of=b"\r").endswith(b"> " + text + b"\n"))

    def test_keys_without_effect_ring(self) -> None:
        """The bell rings once for a chunk, and only where something was amiss."""
        self.assertEqual(self.shows(of=LEFT + LEFT), b"\r> \x1b[K\r\x1b[2C\a")
        self.assertNotIn(b"\a", self.shows(of=b"x" + LEFT))

    def test_a_prompt_may_be_empty_and_may_change(self) -> None:
        """It is asked for at each drawing, and its columns are counted."""
        for prompt, drawn in (("", b"\r\x1b[K\r"), ("\u65e5 ", b"\r\xe6\x97\xa5 \x1b[K\r\x1b[3C")):
            self.session.prompt = prompt
            self.assertTrue(self.shows(of=b"\r").endswith(drawn))

    def test_a_narrow_terminal_is_asked_anew(self) -> None:
        """The width counts at each drawing, and one of three columns breaks nothing."""
        self.columns = 3
        self.assertIn(b"45678", self.shows(of=b"012345678"))
