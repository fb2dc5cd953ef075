"""The services that can be measured, by their names."""

from lab.experiments.of_arithmetic import ArithmeticSubject
from lab.experiments.of_download import DownloadSubject
from lab.experiments.of_echo import EchoSubject
from lab.experiments.of_sequence import SequenceSubject
from lab.experiments.subject import Subject

SUBJECTS: dict[str, Subject] = {
    "arithmetic": ArithmeticSubject(),
    "download": DownloadSubject(),
    "echo": EchoSubject(),
    "sequence": SequenceSubject(),
}
