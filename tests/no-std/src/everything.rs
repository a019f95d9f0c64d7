//! The rest of what the core and the backend do, so that it is linked too. Never run.
//!
//! Texts of errors are left out: Rust's formatting can panic, and who embeds this has no use for it.

use core::time::Duration;

use user_ringbuf_linux::{
    Claimant, DrainOptions, DrainProgram, EpollWaiter, Map, MapError, Mapping, MappingView, Position, Producer,
    Recheck, Records, Shared, Spin, Survey, Yield, plan_repair, probe, repair, rounded_size,
};

/// Opens a map in each way.
#[unsafe(no_mangle)]
pub extern "C" fn every_map(id: u32, size: u64) -> bool {
    maps(id, size).is_ok()
}

fn maps(id: u32, size: u64) -> Result<(), MapError> {
    let map = Map::create_exact("everything", u64::from(rounded_size(size)?))?;
    map.pin(c"/sys/fs/bpf/everything")?;
    let pinned = Map::from_pin(c"/sys/fs/bpf/everything")?;
    let found = Map::from_id(id)?.try_clone()?;
    let borrowed = Map::from_borrowed(&pinned)?;
    let adopted = Map::from_fd_via_fdinfo(borrowed.into())?;
    let _ = (adopted.name().len(), found.size());
    if let Claimant::Process(holder) = pinned.claimant()? {
        let _ = (holder.pid(), holder.name().len());
    }
    Ok(())
}

/// Works on a ring in each way that the hot path does not.
#[unsafe(no_mangle)]
pub extern "C" fn every_ring(map: &Map, len: usize, nanoseconds: u64) -> u64 {
    // SAFETY: never run.
    if unsafe { Mapping::unclaimed(map) }.is_err() {
        return 0;
    }
    let Ok(memory) = Mapping::new(map) else { return 0 };
    let timeout = Some(Duration::from_nanos(nanoseconds));
    let mut sum = 0;
    if let Ok(mut producer) = Producer::attach(&memory) {
        if let Ok(mut waiter) = EpollWaiter::with_recheck(map, Recheck::default()) {
            let canceller = waiter.canceller().and_then(|canceller| canceller.try_clone());
            let _ = canceller.map(|canceller| canceller.cancel());
            if let Ok(sample) = producer.reserve_blocking(len, &mut waiter, timeout) {
                sum += sample.submit_len(len / 2).map_or(0, |end| end.get());
            }
            let _ = producer.wait_consumed(producer.position(), &mut waiter, timeout);
            let _ = producer.wait_room(len, &mut waiter, timeout);
            sum += producer.push_blocking(&[1, 2, 3], &mut waiter, timeout).map_or(0, |end| end.get());
            let _ = waiter.acknowledge();
            let _ = waiter.reset();
            if let Ok(other) = waiter.canceller().and_then(|one| EpollWaiter::cancelled_by(map, Recheck::Never, one)) {
                let _ = other.canceller().and_then(|canceller| canceller.reset());
            }
        }
        let mut batch = producer.batch();
        if let Ok(mut sample) = batch.reserve(len) {
            let _ = sample.fill_range(len / 4, len / 2, 7);
            let _ = sample.submit_len(len / 2);
        }
        sum += batch.submit().map_or(0, Position::get);
        if let Ok(mut lane) = producer.lane(len) {
            if let Ok(mut sample) = lane.reserve(len / 2) {
                let _ = sample.write(len / 4, &[1, 2, 3]);
                sum += sample.submit_len(len / 4).map_or(0, |end| end.get());
            }
            lane.close();
        }
        sum += u64::from(producer.used().unwrap_or(0)) + u64::from(producer.free().unwrap_or(0));
        let shared: Shared<_> = producer.into_shared();
        if let Ok(sample) = shared.reserve_blocking(len, &mut Spin::default(), timeout) {
            sum += sample.submit_len(len / 2).map_or(0, |end| end.get());
        }
        let _ = shared.wait_consumed(shared.position(), &mut Yield::default(), timeout);
        let _ = shared.lane(len).map(|mut lane| lane.push(&[1, 2, 3]).map(|end| end.get()));
    }
    sum
}

/// Looks at a ring, and repairs it.
#[unsafe(no_mangle)]
pub extern "C" fn every_look(map: &Map) -> u64 {
    let mut sum = 0;
    if let Ok(view) = MappingView::new(map) {
        sum += Records::new(&view).map_or(0, |records| records.filter_map(Result::ok).map(|r| u64::from(r.len)).sum());
        let _ = Survey::walk(&view, |record| sum += u64::from(record.is_ok()));
        let _ = plan_repair(&view, |_| sum += 1);
    }
    if let Ok(memory) = Mapping::new(map) {
        // SAFETY: never run.
        let _ = unsafe { repair(&memory, |_| sum += 1) };
    }
    sum
}

/// Drains a ring, and looks at what this kernel has.
#[unsafe(no_mangle)]
pub extern "C" fn every_drain(map: &Map, log: usize) -> u64 {
    let probed = probe();
    let Ok(mut program) = DrainProgram::load(map, log) else { return u64::from(probed.create.is_ok()) };
    let Ok(drained) = program.run(&DrainOptions::new().stop_after(3)) else { return 0 };
    let returned = drained.returned().unwrap_or(0);
    drained
        .samples()
        .fold(u64::from(returned), |sum, sample| sum + sample.iter().map(|byte| u64::from(*byte)).sum::<u64>())
}
