//! Faults of a disk, for the tier `fault`: it is full, read-only or slow, it is unplugged for a
//! moment, or it loses its power.
//!
//! redb reads and writes its file by the trait `StorageBackend`, which is implemented here. Copy
//! this for another embedded storage that lets you replace its access to files.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use custom_backend::RedbBackend;
use queue_core::Backend;
use queue_testkit::conformance::{Fault, FaultyStorage, Injected, SetupResult, Storage};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

/// The faults that apply to a file that one process has open.
pub(crate) const FAULTS: &[Fault] = &[Fault::Full, Fault::Slow, Fault::Crashed, Fault::ReadOnly, Fault::Cut];

/// The unit in which the disk allocates space, and stores a write completely or not at all.
const BLOCK: usize = 4096;
/// The duration of a sync, so that faults begin during syncs too, and that of a slow disk.
const SYNC: Duration = Duration::from_millis(1);
const SLOW_SYNC: Duration = Duration::from_millis(20);

/// A storage whose disk can have one kind of fault.
pub(crate) struct FaultyDisk {
    fault: Fault,
    disk: Arc<Disk>,
}

impl FaultyDisk {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, disk: Arc::default() }
    }
}

#[async_trait]
impl Storage for FaultyDisk {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        let disk = Arc::clone(&self.disk);
        // Without a cache, because otherwise reads would not notice that the disk has failed.
        let open = move || redb::Builder::new().set_cache_size(0).create_with_backend(disk.open_file());
        Ok(Arc::new(RedbBackend::open_with(open).await?))
    }
}

#[async_trait]
impl FaultyStorage for FaultyDisk {
    /// None of these faults is aimed, so there is no target.
    async fn inject(&self, _target: &[u8]) -> SetupResult<Box<dyn Injected>> {
        self.disk.inject(self.fault)?;
        Ok(Box::new(Mend(Arc::clone(&self.disk))))
    }
}

/// Ends the fault when it is dropped.
struct Mend(Arc<Disk>);

#[async_trait]
impl Injected for Mend {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(())
    }
}

impl Drop for Mend {
    fn drop(&mut self) {
        self.0.state().fault = None;
    }
}

/// A disk with one file, which outlives the handles on it. It is in memory, because only the test
/// decides what a loss of power leaves.
#[derive(Debug, Default)]
struct Disk {
    bytes: InMemoryBackend,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The fault that is in effect.
    fault: Option<Fault>,
    /// The number of times that the disk was away. Files that were open then no longer work.
    cuts: u32,
    /// The blocks that have space on the disk, because they were written before.
    allocated: BTreeSet<u64>,
    /// The earlier content of each block that was written since the last sync. After a loss of
    /// power the block may have either content.
    unsynced: BTreeMap<u64, Vec<u8>>,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(self: &Arc<Self>) -> OpenFile {
        OpenFile { disk: Arc::clone(self), cuts: self.state().cuts }
    }

    fn inject(&self, fault: Fault) -> io::Result<()> {
        let mut state = self.state();
        match fault {
            Fault::Cut => state.cuts += 1,
            Fault::Crashed => {
                state.cuts += 1;
                state.fault = Some(fault);
                let is_lost = u64::from(state.cuts % 2);
                // Every second block is lost, because a disk writes blocks in any order.
                for (block, before) in std::mem::take(&mut state.unsynced) {
                    if block % 2 == is_lost {
                        self.bytes.write(block * BLOCK as u64, &before)?;
                    }
                }
            }
            fault => state.fault = Some(fault),
        }
        Ok(())
    }

    /// Allocates a block, and keeps the content that a loss of power would bring back.
    fn before_write(&self, state: &mut State, block: u64) -> io::Result<()> {
        if !state.allocated.contains(&block) && state.fault == Some(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.allocated.insert(block);
        if let Entry::Vacant(unsynced) = state.unsynced.entry(block) {
            let mut before = vec![0; BLOCK];
            self.bytes.read(block * BLOCK as u64, &mut before)?;
            unsynced.insert(before);
        }
        Ok(())
    }
}

/// The file, open in one handle.
#[derive(Debug)]
struct OpenFile {
    disk: Arc<Disk>,
    /// The cuts before it was opened.
    cuts: u32,
}

impl OpenFile {
    fn check_read(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.cuts != self.cuts || state.fault == Some(Fault::Crashed) {
            return Err(io::Error::other("the disk is away"));
        }
        Ok(state)
    }

    fn check_write(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.check_read()?;
        if state.fault == Some(Fault::ReadOnly) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(state)
    }
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let _state = self.check_read()?;
        self.disk.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let _state = self.check_read()?;
        self.disk.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.check_write()?;
        state.unsynced.retain(|block, _| block * (BLOCK as u64) < len);
        self.disk.bytes.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.check_write()?;
        let (first, end) = (offset / BLOCK as u64, offset + data.len() as u64);
        for block in first..end.div_ceil(BLOCK as u64) {
            self.disk.before_write(&mut state, block)?;
        }
        self.disk.bytes.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.check_write()?;
        state.unsynced.clear();
        let duration = if state.fault == Some(Fault::Slow) { SLOW_SYNC } else { SYNC };
        drop(state);
        std::thread::sleep(duration);
        // If a fault began meanwhile, the sync fails although everything is on the disk.
        self.check_write().map(drop)
    }
}
