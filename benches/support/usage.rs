//! What a process has taken, as Linux counts it.

use std::path::Path;

/// `USER_HZ` on Linux: ticks of `/proc/PID/stat` in a second.
const TICKS: f64 = 100.0;

/// A process, by its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage(pub(crate) u32);

impl Usage {
    /// One of the servers that `tests/env/with` started.
    pub(crate) fn of_server(folder: &str, name: &str) -> Self {
        let pid = std::fs::read_to_string(Path::new(folder).join("pids").join(name));
        let pid = pid.expect("a server of tests/env");
        Self(pid.trim().parse().expect("a process id"))
    }

    /// Processor time that it has used, of the user and of the kernel.
    pub(crate) fn cpu_seconds(self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).expect("it runs");
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
        let (_, fields) = stat.rsplit_once(") ").expect("its name in parentheses");
        let ticks = fields.split(' ').skip(11).take(2);
        ticks
            .map(|ticks| ticks.parse::<f64>().expect("ticks"))
            .sum::<f64>()
            / TICKS
    }

    /// Memory that it holds now.
    pub(crate) fn resident_megabytes(self) -> f64 {
        self.megabytes("VmRSS:")
    }

    /// The most memory that it has ever held.
    pub(crate) fn peak_megabytes(self) -> f64 {
        self.megabytes("VmHWM:")
    }

    fn megabytes(self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes.expect(field).parse().expect("a number");
        kilobytes / 1024.0
    }
}
