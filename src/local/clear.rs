//! Clears removed Jobs away: ends what still runs of them, then deletes the files.

use std::path::{Path, PathBuf};

use futures::future::join_all;

use super::pod;
use super::spec::JobSpec;
use super::store;

/// Clears one folder of `.gone`. What cannot be cleared now is cleared at the next start.
pub(super) async fn clear(folder: PathBuf) {
    if let Err(error) = terminate(&folder).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "processes of the removed Job in {} may still run",
            folder.display()
        );
        return;
    }
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the removed Job in {} is not cleared away",
            folder.display()
        );
    }
}

async fn terminate(folder: &Path) -> std::io::Result<()> {
    let Some(job) = store::read_json(&folder.join("job.json"))? else {
        return Ok(());
    };
    let Ok(spec) = JobSpec::parse(&job) else {
        // It was never run by us.
        return Ok(());
    };
    let pods = folder.join("pods");
    if !pods.is_dir() {
        return Ok(());
    }
    let folders: Vec<PathBuf> = std::fs::read_dir(pods)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    join_all(folders.iter().map(|folder| pod::terminate(&spec, folder))).await;
    Ok(())
}
