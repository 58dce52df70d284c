//! What bounds an evaluation: its fuel, its memory and its nesting.
//!
//! Everything is counted, nothing is timed, so the same evaluation stops at the same place on every machine.

use std::cell::Cell;

use super::Fuel;
use super::value::Stop;

/// How finely a unit of [`Fuel`] is divided. A node costs 1, an emitted value of a generator [`STEP`].
const GAS_PER_FUEL: u64 = 16;
/// The cost of one step of iteration.
pub(super) const STEP: u64 = 8;
/// Bytes that are copied or scanned for 1 of gas; copying is much cheaper than interpreting.
const BYTES_PER_GAS: usize = 32;
/// All bytes that one evaluation may allocate, whether it still uses them or not. Never giving back keeps the
/// count independent of when a value happens to be dropped.
const MEMORY_MAX: usize = 64 << 20;
/// The longest string that an expression may build, and the largest result.
pub(super) const SIZE_MAX: usize = 8 << 20;
/// How deep evaluation may nest. One level takes up to 7 KiB of stack without optimisation, so that all of it
/// fits into 2 MiB (`tests/expression/hostile.rs` runs the deepest programs on such a thread).
const NESTING_MAX: u32 = 200;

/// The counters of one evaluation.
pub(super) struct Meter {
    gas: Cell<u64>,
    memory: Cell<usize>,
    nesting: Cell<u32>,
}

impl Meter {
    pub(super) fn new(fuel: Fuel) -> Self {
        Self {
            gas: Cell::new(fuel.0.saturating_mul(GAS_PER_FUEL)),
            memory: Cell::new(MEMORY_MAX),
            nesting: Cell::new(0),
        }
    }

    /// The fuel that is left; a begun unit counts as spent.
    pub(super) fn left(&self) -> Fuel {
        Fuel(self.gas.get() / GAS_PER_FUEL)
    }

    /// Spends `gas`.
    pub(super) fn spend<'v>(&self, gas: u64) -> Result<(), Stop<'v>> {
        if let Some(left) = self.gas.get().checked_sub(gas) {
            self.gas.set(left);
            return Ok(());
        }
        self.gas.set(0);
        Err(Stop::Limit("ran out of fuel: it iterates too often or handles too much data"))
    }

    /// Pays for reading `bytes`.
    pub(super) fn scan<'v>(&self, bytes: usize) -> Result<(), Stop<'v>> {
        self.spend((bytes / BYTES_PER_GAS) as u64)
    }

    /// Pays for building `bytes`; to be called before they are allocated.
    pub(super) fn allocate<'v>(&self, bytes: usize) -> Result<(), Stop<'v>> {
        let Some(left) = self.memory.get().checked_sub(bytes) else {
            return Err(Stop::Limit("builds too much data (limit 64 MiB in all)"));
        };
        self.memory.set(left);
        self.scan(bytes)
    }

    /// Enters one more level of nesting, until the answer is dropped.
    pub(super) fn descend<'v>(&self) -> Result<Level<'_>, Stop<'v>> {
        let nesting = self.nesting.get();
        if nesting >= NESTING_MAX {
            return Err(Stop::Limit("nests too deep"));
        }
        self.nesting.set(nesting + 1);
        Ok(Level(&self.nesting))
    }
}

/// One level of nesting.
pub(super) struct Level<'m>(&'m Cell<u32>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
