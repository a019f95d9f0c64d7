//! A tokio service that hands policies to the kernel, and its tests, which need neither root nor a kernel map.
//!
//! A client sends lines such as `1000 64` (a user, and its limit), and reads `taken` for each when the kernel has it. While
//! the ring is full the service reads no further, so clients are slowed down rather than policies dropped.
//!
//! ```sh
//! cargo run --example service -- /sys/fs/bpf/policies 127.0.0.1:7000     # the ring's pin, and where to listen
//! cargo test --example service                                           # as anybody
//! ```

use std::sync::Arc;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use user_ringbuf_linux::{Map, Mapping, RingMemory, Shared, TokioShared};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct policy` of the BPF program.
#[derive(Debug, PartialEq, IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Policy {
    user: u32,
    limit: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pin = arguments.next().context("usage: service PIN [ADDRESS]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7000".to_owned());

    let map = Map::from_pin(pin)?;
    let ring = Arc::new(TokioShared::new(Shared::attach(Mapping::new(&map)?)?, &map)?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        let ring = Arc::clone(&ring);
        tokio::spawn(async move {
            let (input, output) = client.into_split();
            if let Err(error) = serve(&ring, input, output).await {
                eprintln!("{error:#}");
            }
        });
    }
}

/// Serves one client. Generic over the ring's memory: the kernel's in production, simulated in tests.
async fn serve<M: RingMemory>(
    ring: &TokioShared<M>,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await? {
        let (user, limit) = line.split_once(' ').with_context(|| format!("{line:?} is not a user and a limit"))?;
        let policy = Policy { user: user.parse()?, limit: limit.parse()? };
        let end = ring.push(policy.as_bytes()).await?;
        ring.wait_consumed(end).await?;
        output.write_all(b"taken\n").await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;
    use user_ringbuf_linux::Recheck;
    use user_ringbuf_sim::{FakeKernel, HeapMemory};

    use super::*;

    /// The service, with a ring of 64 bytes that only [`drain`](Self::drain) empties, and the client's end of a connection.
    struct Bench {
        memory: Arc<HeapMemory>,
        ring: Arc<TokioShared<Arc<HeapMemory>>>,
        client: tokio::io::DuplexStream,
    }

    impl Bench {
        fn start() -> Self {
            let memory = Arc::new(HeapMemory::new(64).unwrap());
            let shared = Shared::attach(Arc::clone(&memory)).unwrap();
            let ring = Arc::new(TokioShared::simulated(shared, Recheck::Never).unwrap());
            let (client, service) = tokio::io::duplex(1024);
            let (input, output) = tokio::io::split(service);
            let serving = Arc::clone(&ring);
            tokio::spawn(async move { serve(&serving, input, output).await });
            Self { memory, ring, client }
        }

        /// Does what the BPF program's drain would do, and returns what it took.
        fn drain(&self) -> Vec<Policy> {
            let (drained, samples) = FakeKernel::new(&*self.memory).collect(0);
            drained.returned.unwrap();
            // On a real ring the kernel wakes the service.
            self.ring.look();
            samples.iter().map(|sample| Policy::read_from_bytes(sample).unwrap()).collect()
        }

        /// What the client reads, or `None` if nothing comes.
        async fn answer(&mut self) -> Option<String> {
            let mut answer = [0; 6];
            let read = timeout(Duration::from_millis(50), self.client.read_exact(&mut answer));
            read.await.ok().map(|read| read.map(|_| String::from_utf8_lossy(&answer).into_owned()).unwrap())
        }
    }

    #[tokio::test]
    async fn a_client_is_answered_once_the_kernel_has_its_policy() {
        let mut bench = Bench::start();
        bench.client.write_all(b"1000 64\n").await.unwrap();
        assert_eq!(bench.answer().await, None);
        assert_eq!(bench.drain(), [Policy { user: 1000, limit: 64 }]);
        assert_eq!(bench.answer().await.as_deref(), Some("taken\n"));
    }

    #[tokio::test]
    async fn a_full_ring_slows_clients_down_and_loses_nothing() {
        let mut bench = Bench::start();
        // Another task has filled the ring.
        while bench.ring.shared().push(Policy { user: 0, limit: 0 }.as_bytes()).is_ok() {}
        bench.client.write_all(b"1 1\n2 2\n").await.unwrap();
        assert_eq!(bench.answer().await, None);
        assert_eq!(bench.drain().len(), 4);
        for policy in [Policy { user: 1, limit: 1 }, Policy { user: 2, limit: 2 }] {
            // The service publishes the next one only when the one before was taken.
            assert_eq!(bench.answer().await, None);
            assert_eq!(bench.drain(), [policy]);
            assert_eq!(bench.answer().await.as_deref(), Some("taken\n"));
        }
    }
}
