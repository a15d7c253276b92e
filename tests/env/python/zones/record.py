"""Writes tests/vectors/zones.txt: what is due in every time zone from 2026 to 2046, told without our code.

It enumerates local dates and asks Python's own zoneinfo, which reads the time zone database of the package `tzdata`, for
each wall time with fold 0 and with fold 1. A wall time that does not come back from UTC as it went is in a gap.

    python3 -m venv V && V/bin/pip install -r requirements.txt && V/bin/python record.py > ../../../vectors/zones.txt

`record.py ZONE` prints the days of one zone instead, to find out where they part.

A line is a hash, the number of due times, and the names of all zones that are the same. Days: those on which the offset
changes between two midnights in UTC, two days around them, and every tenth. A day is one in UTC; its line in what is
hashed is: days since 1970, schedule, and seconds since midnight in UTC of each due time.
"""

import hashlib
import sys
import zoneinfo
from datetime import date, datetime, timedelta, timezone
from importlib import resources

zoneinfo.reset_tzpath(to=[])  # The package, never the machine.
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST, LAST = date(2026, 1, 1), date(2046, 12, 31)
QUARTERS = [(hour, minute) for hour in range(24) for minute in (0, 15, 30, 45)]


def on(minutes, hours, days=lambda day: True):
    return lambda day, wall: wall[1] in minutes and wall[0] in hours and days(day)


# Each with what becomes of it in a gap (moved?) and in a fold (both?). The same list stands in tests/it/cron_zones.rs.
SCHEDULES = [
    (on((0, 30), range(24)), False, True),  # */30 * * * *
    (on((15, 45), (0, 1, 2, 3, 22, 23)), True, False),  # 15,45 0-3,22-23 * * *
    (on((0, 30), (0, 1, 2, 3, 4, 23)), False, True),  # 0,30 0-4,23 * * * with Skip and Both
    (on((0,), range(24)), True, False),  # 0 * * * * with Next and First
    (on((15,), (1,), lambda d: d.day % 2 == 1 or d.weekday() == 0), True, False),  # 15 1 */2 * 1
]


class Zone:
    def __init__(self, name):
        self.zone = zoneinfo.ZoneInfo(name)
        self.walls = {}

    def seconds(self, wall, fold):
        """Seconds since 1970 of a wall time; None when the clock never shows it."""
        there = wall.replace(tzinfo=self.zone, fold=fold).astimezone(timezone.utc)
        back = there.astimezone(self.zone)
        if back.replace(tzinfo=None, fold=0) != wall:
            return None
        return int((there - EPOCH).total_seconds())

    def instants(self, day, hour, minute):
        """The instants of a wall time, or else where it moves to."""
        wall = datetime(day.year, day.month, day.day, hour, minute)
        if wall not in self.walls:
            shown = {self.seconds(wall, fold) for fold in (0, 1)} - {None}
            moved, later = None, wall
            while not shown and moved is None:
                later += timedelta(minutes=1)
                moved = self.seconds(later, 0)
            self.walls[wall] = sorted(shown), moved
        return self.walls[wall]

    def due(self, schedule, day):
        """Due times within a day of UTC."""
        matches, moves, both = schedule
        start = (day - date(1970, 1, 1)).days * 86400
        due = set()
        for local in (day - timedelta(days=1), day, day + timedelta(days=1)):
            for wall in QUARTERS:
                if not matches(local, wall):
                    continue
                shown, moved = self.instants(local, *wall)
                if shown:
                    due.update(shown if both else shown[:1])
                elif moves:
                    due.add(moved)
        return sorted(at - start for at in due if start <= at < start + 86400)

    def days(self):
        """Days to look at; True for those around a change of the offset."""
        days = {}
        midnight = lambda day: datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        offset = lambda day: midnight(day).astimezone(self.zone).utcoffset()
        count = (LAST - FIRST).days + 1
        every = [FIRST + timedelta(days=at) for at in range(count)]
        for at, day in enumerate(every):
            if at % 10 == 0:
                days.setdefault(day, False)
            if offset(day) != offset(day + timedelta(days=1)):
                for near in range(-2, 3):
                    days[day + timedelta(days=near)] = True
        return sorted(days.items())

    def lines(self):
        for day, is_change in self.days():
            number = (day - date(1970, 1, 1)).days
            for index, schedule in enumerate(SCHEDULES):
                if is_change or number % len(SCHEDULES) == index:
                    due = self.due(schedule, day)
                    yield len(due), f"{number} {index} {' '.join(map(str, due))}\n"
            if len(self.walls) > 10_000:
                self.walls.clear()


def main():
    if len(sys.argv) > 1:
        for _, line in Zone(sys.argv[1]).lines():
            print(line, end="")
        return
    alike = {}
    for name in sorted(zoneinfo.available_timezones()):
        if name.split("/")[0] in ("posix", "right") or name in ("posixrules", "Factory", "localtime"):
            continue
        package, _, file = ("tzdata.zoneinfo/" + name).replace("/", ".").rpartition(".")
        alike.setdefault(resources.read_binary(package, file), []).append(name)
    for names in sorted(alike.values()):
        hashed, count = hashlib.sha256(), 0
        for number, line in Zone(names[0]).lines():
            hashed.update(line.encode())
            count += number
        print(hashed.hexdigest()[:16], count, *names, flush=True)


main()
