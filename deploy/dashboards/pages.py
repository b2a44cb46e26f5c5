"""Pages of the console that say more than a panel can, and where something can be done about it.

What a page takes stands in services/gateway/console/web; tests/unit/deploy/test_dashboards.py reads it there.
"""

from __future__ import annotations

from deploy.dashboards.parts import Page

CONSOLE = "/console"
STATUS = Page("Which part is not well", f"{CONSOLE}/admin/status")
SLOS = Page("Error budgets, and the time to answer by route", f"{CONSOLE}/reports/slo")
JOBS = Page("Runs of jobs", f"{CONSOLE}/jobs")
NEWEST = Page("The newest verdicts", CONSOLE)
ITEMS = Page("The board", f"{CONSOLE}/board")
LATE = Page("What is overdue", f"{CONSOLE}/board?late=1")
DELIVERIES = Page("Deliveries", f"{CONSOLE}/deliveries")
GIVEN_UP = Page("Deliveries that were given up", f"{CONSOLE}/deliveries?state=dead")
GUARD = Page("Targets that are left alone", f"{CONSOLE}/deliveries/guard")
ENTRIES = Page("Entries of the log", f"{CONSOLE}/audit")
FAILED = Page("Commands that failed", f"{CONSOLE}/audit?outcome=failed")
LOG = Page("The state of the log, and verifications", f"{CONSOLE}/audit/verification")
WITNESSES = Page("Witnesses", f"{CONSOLE}/audit/witnesses")
TRACE = Page("What the audit log has of this trace", f"{CONSOLE}/audit/traces/${{trace}}")
BACKUPS = Page("Backups and rehearsals", f"{CONSOLE}/backups")
LETTERS = Page("Dead letters", f"{CONSOLE}/admin/dead-letters")

# Where a click on one line of a panel leads.
GATE = Page("This gate", f"{CONSOLE}/gates/${{__field.labels.gate}}")
BOARD_OF_GATE = Page("The board of this gate", f"{CONSOLE}/board?gate=${{__field.labels.gate}}")
LETTERS_OF_SERVICE = Page("Its dead letters", f"{CONSOLE}/admin/dead-letters?service=${{__field.labels.service}}")
IN_THIS_STATE = Page("Deliveries in this state", f"{CONSOLE}/deliveries?state=${{__field.labels.state}}")


def dead_letters_of(service: str) -> Page:
    """The page with a service's dead letters."""
    return Page(f"Dead letters of {service}", f"{LETTERS.path}?service={service}")
