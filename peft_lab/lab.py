"""Every operation as an ordinary method. Magics, panels and the command line are generated from this class."""

from __future__ import annotations

from peft_lab.commands.checking import Checking
from peft_lab.commands.choosing import Choosing
from peft_lab.commands.coding import Coding
from peft_lab.commands.configuring import Configuring
from peft_lab.commands.control import Control
from peft_lab.commands.generating import Generating
from peft_lab.commands.judging import Judging
from peft_lab.commands.keeping import Keeping
from peft_lab.commands.looking import Looking
from peft_lab.commands.paneling import Paneling
from peft_lab.commands.planning import Planning
from peft_lab.commands.prefixes import Prefixes
from peft_lab.commands.reporting import Reporting
from peft_lab.commands.selfchecking import SelfChecking
from peft_lab.commands.shad import Shad
from peft_lab.commands.studying import Studying
from peft_lab.commands.tokens import Tokens
from peft_lab.commands.tracking import Tracking
from peft_lab.commands.training import Training
from peft_lab.commands.using import Using
from peft_lab.commands.workshop import Workshop


class Lab(
    Looking,
    Choosing,
    Planning,
    Training,
    Studying,
    Paneling,
    Control,
    Using,
    Generating,
    Judging,
    Keeping,
    Workshop,
    Coding,
    Checking,
    Prefixes,
    Tokens,
    Shad,
    Reporting,
    Tracking,
    Configuring,
    SelfChecking,
):
    """A bench with all its operations: ``Lab().train("lora", rank=8)`` does what ``%peft train lora --rank 8`` does."""
