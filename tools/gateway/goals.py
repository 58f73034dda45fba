"""What a measurement is held to, beside what it found; and tables of that and of the figures."""

import statistics


class Goal:
    """`bound`: "at most" or "at least"."""

    def __init__(self, what, bound, limit, value, unit="", id=""):
        self.what, self.bound, self.limit, self.value, self.unit, self.id = what, bound, limit, value, unit, id

    @property
    def met(self):
        return self.value <= self.limit if self.bound == "at most" else self.value >= self.limit

    @property
    def verdict(self):
        if self.met:
            return "met"
        if self.limit == 0:
            return "MISSED"
        return f"MISSED by {max(1, round(abs(self.value - self.limit) / abs(self.limit) * 100))}%"

    def json(self):
        return {**self.__dict__, "met": self.met}


def median(runs, figure):
    return statistics.median(run[figure] for run in runs)


def number(value):
    """With as many digits as say something."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def print_table(title, head, rows):
    cells = [head, *([number(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(head))]

    def line(texts):
        first = texts[0].ljust(widths[0])
        return "| " + " | ".join([first, *(text.rjust(width) for text, width in zip(texts[1:], widths[1:]))]) + " |"

    print(f"\n{title}\n\n{line(head)}\n|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for cell in cells[1:]:
        print(line(cell))


def print_goals(goals):
    rows = []
    for goal in goals:
        wanted = f"{goal.bound} {goal.limit:g}{goal.unit}"
        rows.append([f"{goal.id} {goal.what}".strip(), wanted, number(float(goal.value)) + goal.unit, goal.verdict])
    print_table("Goals", ["", "wanted", "measured", ""], rows)
    print(f"\n{sum(goal.met for goal in goals)} of {len(goals)} met")
