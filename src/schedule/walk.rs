//! Looking for due times, forwards and backwards, and counting them.

use jiff::Timestamp;

use super::Schedule;
use super::expression::Timing;
use super::pieces::{ClockPiece, HORIZON, floor, offset, timestamp};
use super::plan::{DAY, Minutes, Which, date};

/// Steps of one search for a due time of `@every` that is not excluded. Reason: a search must end; this many minutes are five weeks.
const MOST_STEPS: usize = 50_000;

/// Due times that are counted one by one, where they cannot be counted by the day: with `@every` beside something else.
const MOST_COUNTED_SINGLY: u64 = 10_000;

impl Schedule {
    /// The first due time after an instant; `None` if there is none in eight years.
    pub fn first_after(&self, instant: Timestamp) -> Option<Timestamp> {
        Walk::new(self).after(floor(instant)).map(timestamp)
    }

    /// The last due time at an instant or before it; `None` if there is none in eight years.
    pub fn last_at_or_before(&self, instant: Timestamp) -> Option<Timestamp> {
        Walk::new(self).before(floor(instant)).map(timestamp)
    }

    /// Due times after one instant, up to another and with it, in order.
    pub fn due_between(&self, after: Timestamp, until: Timestamp) -> DueBetween<'_> {
        DueBetween {
            walk: Walk::new(self),
            after: floor(after),
            until: floor(until),
        }
    }

    /// How many due times [`Schedule::due_between`] has, and whether that is all of them.
    ///
    /// A stretch of more than eight years is counted from its end, and so is one with more than 10,000 due times if
    /// `@every` stands beside something else. The number is then the least there are.
    pub fn count_between(&self, after: Timestamp, until: Timestamp) -> (u64, bool) {
        Walk::new(self).count(floor(after), floor(until))
    }
}

/// Due times between two instants, in order.
#[derive(Debug, Clone)]
pub struct DueBetween<'a> {
    walk: Walk<'a>,
    after: i64,
    until: i64,
}

impl Iterator for DueBetween<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let due = self.walk.after(self.after)?;
        if due > self.until {
            return None;
        }
        self.after = due;
        Some(timestamp(due))
    }
}

/// A place in a schedule. It remembers the piece of the clock that it looked at last.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a> {
    schedule: &'a Schedule,
    piece: Option<ClockPiece>,
    has_fields: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(schedule: &'a Schedule) -> Self {
        Self {
            schedule,
            piece: None,
            has_fields: schedule
                .expressions
                .iter()
                .any(|expression| expression.sets().is_some()),
        }
    }

    /// The first due second after one.
    pub(super) fn after(&mut self, second: i64) -> Option<i64> {
        let start = self.schedule.start_at.map(ceiling);
        let from = start.map_or(second + 1, |start| start.max(second + 1));
        let end = self.schedule.end_at.map_or(i64::MAX, floor);
        let until = from.saturating_add(HORIZON).min(end.saturating_add(1));
        let by_wall = self.first_by_wall(from, until);
        let by_interval = self.first_by_interval(from, by_wall.unwrap_or(until));
        by_interval.or(by_wall)
    }

    /// The last due second at or before one.
    pub(super) fn before(&mut self, second: i64) -> Option<i64> {
        let end = self
            .schedule
            .end_at
            .map_or(second, |end| floor(end).min(second));
        let start = self.schedule.start_at.map_or(i64::MIN, ceiling);
        let from = end.saturating_sub(HORIZON).max(start);
        let by_wall = self.last_by_wall(from, end);
        let by_interval = self.last_by_interval(by_wall.map_or(from, |due| due + 1), end);
        by_interval.or(by_wall)
    }

    /// How many seconds are due after one and up to another, and whether those are all.
    pub(super) fn count(&mut self, after: i64, until: i64) -> (u64, bool) {
        let end = self
            .schedule
            .end_at
            .map_or(until, |end| floor(end).min(until));
        let start = self.schedule.start_at.map_or(i64::MIN, ceiling);
        let all_from = start.max(after.saturating_add(1));
        let from = all_from.max(end.saturating_sub(HORIZON));
        if from > end {
            return (0, true);
        }
        let is_all = from == all_from;
        if self.grids().next().is_none() {
            return (self.count_by_wall(from, end + 1), is_all);
        }
        if let ([_], true) = (&self.schedule.expressions[..], self.excludes_nothing())
            && let Some(grid) = self.grids().next()
        {
            return (grid.count(from, end), is_all);
        }
        let mut count = 0;
        let mut at = end;
        while let Some(due) = self.before(at).filter(|due| *due >= from) {
            if count == MOST_COUNTED_SINGLY {
                return (count, false);
            }
            count += 1;
            at = due - 1;
        }
        (count, is_all)
    }

    fn piece_at(&mut self, instant: i64) -> ClockPiece {
        match self.piece {
            Some(piece) if piece.from <= instant && instant < piece.until => piece,
            _ => *self
                .piece
                .insert(ClockPiece::at(&self.schedule.time_zone, instant)),
        }
    }

    /// First second from one up to another, without it, that fields name.
    fn first_by_wall(&mut self, from: i64, until: i64) -> Option<i64> {
        if !self.has_fields {
            return None;
        }
        let mut piece = self.piece_at(from);
        let mut from = from;
        while from < until {
            let end = until.min(piece.until);
            let moved = self.moved(piece, from, end);
            // A due time moved out of the gap is the first of its piece.
            if moved.is_some() {
                return moved;
            }
            for (first, last, which) in stretches(piece, from, end) {
                if let Some(wall) = self.first_wall(first, last, which) {
                    return Some(wall - piece.offset);
                }
            }
            from = piece.until;
            if from < until {
                piece = piece.next(&self.schedule.time_zone)?;
                self.piece = Some(piece);
            }
        }
        None
    }

    /// Last second from one up to another, with it, that fields name.
    fn last_by_wall(&mut self, from: i64, last: i64) -> Option<i64> {
        if !self.has_fields {
            return None;
        }
        let mut piece = self.piece_at(last);
        let mut end = last + 1;
        while from < end {
            let start = from.max(piece.from);
            for (first, last, which) in stretches(piece, start, end).into_iter().rev() {
                if let Some(wall) = self.last_wall(first, last, which) {
                    return Some(wall - piece.offset);
                }
            }
            let moved = self.moved(piece, start, end);
            if moved.is_some() {
                return moved;
            }
            end = piece.from;
            if from < end {
                piece = piece.previous(&self.schedule.time_zone)?;
                self.piece = Some(piece);
            }
        }
        None
    }

    fn count_by_wall(&mut self, from: i64, until: i64) -> u64 {
        let mut count = 0;
        let mut piece = self.piece_at(from);
        let mut from = from;
        while from < until {
            let end = until.min(piece.until);
            let moved = self.moved(piece, from, end);
            if let Some(at) = moved
                && self
                    .first_wall(at + piece.offset, at + piece.offset + 1, Which::All)
                    .is_none()
            {
                count += 1;
            }
            for (first, last, which) in stretches(piece, from, end) {
                count += self.count_wall(first, last, which);
            }
            from = piece.until;
            if from < until {
                let Some(next) = piece.next(&self.schedule.time_zone) else {
                    break;
                };
                piece = next;
            }
        }
        count
    }

    /// Where due times go that the clock jumped over on its way into a piece: `None` when there are none, or when that is
    /// not from one instant up to another.
    fn moved(&self, piece: ClockPiece, from: i64, until: i64) -> Option<i64> {
        let at = piece.first_minute();
        if at < from || at >= until.min(piece.until) {
            return None;
        }
        let (first, end) = piece.gap();
        self.first_wall(first, end, Which::InGap).map(|_| at)
    }

    /// First due wall second from one up to another, without it.
    fn first_wall(&self, from: i64, until: i64, which: Which) -> Option<i64> {
        let mut day = from.div_euclid(DAY);
        let mut minute = (from.rem_euclid(DAY) + 59) / 60;
        while day * DAY + minute * 60 < until {
            if let Some(minutes) = Minutes::due(self.schedule, day, which)
                && let Some(minute) = minutes.first_from(minute)
            {
                let wall = day * DAY + minute * 60;
                return (wall < until).then_some(wall);
            }
            day += 1;
            minute = 0;
        }
        None
    }

    /// Last due wall second from one up to another, without it.
    fn last_wall(&self, from: i64, until: i64, which: Which) -> Option<i64> {
        let last = until - 1;
        let mut day = last.div_euclid(DAY);
        let mut minute = last.rem_euclid(DAY) / 60;
        while day * DAY + minute * 60 >= from {
            if let Some(minutes) = Minutes::due(self.schedule, day, which)
                && let Some(minute) = minutes.last_to(minute)
            {
                let wall = day * DAY + minute * 60;
                return (wall >= from).then_some(wall);
            }
            day -= 1;
            minute = DAY / 60 - 1;
        }
        None
    }

    fn count_wall(&self, from: i64, until: i64, which: Which) -> u64 {
        let mut count = 0;
        let mut day = from.div_euclid(DAY);
        while day * DAY < until {
            if let Some(minutes) = Minutes::due(self.schedule, day, which) {
                let first = (from - day * DAY).max(0);
                let end = (until - day * DAY).min(DAY);
                count += minutes.count((first + 59) / 60, (end + 59) / 60);
            }
            day += 1;
        }
        count
    }

    fn grids(&self) -> impl Iterator<Item = Grid> {
        let schedule = self.schedule;
        // What counts from startAt is due then; what counts from creation is due a step later.
        let (anchor, least) = match schedule.start_at {
            Some(start) => (ceiling(start), 0),
            None => (floor(schedule.created), 1),
        };
        schedule
            .expressions
            .iter()
            .filter_map(move |expression| match expression.timing {
                Timing::Every { seconds, .. } => Some(Grid {
                    first: anchor.saturating_add(seconds.saturating_mul(least)),
                    step: seconds,
                }),
                Timing::Fields(_) => None,
            })
    }

    fn excludes_nothing(&self) -> bool {
        let exclude = &self.schedule.exclude;
        exclude.dates.is_empty() && exclude.expressions.is_empty()
    }

    /// First second from one up to another, without it, that `@every` names.
    fn first_by_interval(&self, from: i64, until: i64) -> Option<i64> {
        let free = |grid: Grid| {
            let mut at = grid.at_or_after(from);
            for _ in 0..MOST_STEPS {
                if at >= until {
                    return None;
                }
                match self.excluded_until(at) {
                    None => return Some(at),
                    Some(free) => at = grid.at_or_after(free),
                }
            }
            None
        };
        self.grids().filter_map(free).min()
    }

    /// Last second from one up to another, with it, that `@every` names.
    fn last_by_interval(&self, from: i64, last: i64) -> Option<i64> {
        let free = |grid: Grid| {
            let mut at = grid.at_or_before(last)?;
            for _ in 0..MOST_STEPS {
                if at < from {
                    return None;
                }
                if self.excluded_until(at).is_none() {
                    return Some(at);
                }
                at = grid.at_or_before(at - 1)?;
            }
            None
        };
        self.grids().filter_map(free).max()
    }

    /// The first second after an excluded one that may not be excluded; `None` when it is not.
    fn excluded_until(&self, second: i64) -> Option<i64> {
        if self.excludes_nothing() {
            return None;
        }
        let wall = second + offset(&self.schedule.time_zone, timestamp(second));
        let day = wall.div_euclid(DAY);
        let minute = wall.rem_euclid(DAY) / 60;
        let excluded = Minutes::excluded(self.schedule, date(day)?)?;
        if !excluded.has(minute) {
            return None;
        }
        // At most to the end of the hour: the clock may jump before the end of the day.
        let hour_end = (minute / 60 + 1) * 60;
        let free = excluded
            .first_absent(minute)
            .unwrap_or(hour_end)
            .min(hour_end);
        Some(second + (day * DAY + free * 60 - wall).max(1))
    }
}

/// Due times of `@every`, all a step apart.
#[derive(Debug, Clone, Copy)]
struct Grid {
    first: i64,
    step: i64,
}

impl Grid {
    fn at_or_after(self, second: i64) -> i64 {
        if second <= self.first {
            return self.first;
        }
        let steps = (second - self.first + self.step - 1) / self.step;
        self.first.saturating_add(steps.saturating_mul(self.step))
    }

    fn at_or_before(self, second: i64) -> Option<i64> {
        (second >= self.first).then(|| second - (second - self.first) % self.step)
    }

    fn count(self, from: i64, last: i64) -> u64 {
        let first = self.at_or_after(from);
        match self.at_or_before(last) {
            Some(last) if last >= first => ((last - first) / self.step).unsigned_abs() + 1,
            _ => 0,
        }
    }
}

/// The wall times of a piece between two of its instants, the second time they are shown apart from the first.
fn stretches(piece: ClockPiece, from: i64, until: i64) -> [(i64, i64, Which); 2] {
    let (from, until) = (from + piece.offset, until + piece.offset);
    let fold = piece.fold_until().max(from).min(until);
    [(from, fold, Which::InFold), (fold, until, Which::All)]
}

/// The first whole second at or after an instant.
fn ceiling(instant: Timestamp) -> i64 {
    let floor = floor(instant);
    floor + i64::from(instant.subsec_nanosecond() != 0)
}
