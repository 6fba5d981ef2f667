"""What the tests of RobustDIRTrain's panel share."""

import contextlib
import io
import json

MODULE = "RobustDIRTrain"


def play_here(monkeypatch) -> None:
    """Commands that the panel runs in the background are done in this process, as soon as they are started."""
    from RobustDIRLib.cli import main
    from RobustDIRLib.panelparts import background
    from RobustDIRLib.runner.job import Polled

    class Done:
        """A process that has ended."""

        process_id = 0

        def __init__(self, command, stop_file=None, environment=None, output=None) -> None:
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = main(list(command[command.index("RobustDIRLib") + 1 :]))
            lines = said.getvalue().splitlines()
            self.log = [line for line in lines if not line.startswith("{")]
            self.polled = Polled(
                [json.loads(line) for line in lines if line.startswith("{")], self.log, code, over=True
            )

        def poll(self) -> Polled:
            return self.polled

        def stop(self) -> None: ...

        kill = stop

    monkeypatch.setattr(background, "Job", Done)
