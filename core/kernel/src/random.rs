//! Random numbers: ChaCha20, keyed from what entropy the machine has.
//!
//! RDSEED and RDRAND where they exist, and always the time stamp counter, so that two machines
//! without either still differ. Each request re-keys, so that an old answer cannot be computed
//! from a later state.

mod chacha;

use chacha::KeyStream;
use spin::Mutex;

use crate::processor::{Features, features};

static GENERATOR: Mutex<Generator> = Mutex::new(Generator {
    stream: KeyStream::new(),
    is_keyed: false,
});

struct Generator {
    stream: KeyStream,
    is_keyed: bool,
}

/// Mixes `bytes` into the key, from a device for instance.
pub fn add_entropy(bytes: &[u8]) {
    let mut generator = GENERATOR.lock();
    let mut seed = generator.next_seed();
    for (index, byte) in bytes.iter().enumerate() {
        if let Some(place) = seed.get_mut(index % 32) {
            *place ^= *byte;
        }
    }
    generator.stream.set_key(&seed);
}

/// Fills `bytes`.
pub fn fill(bytes: &mut [u8]) {
    let mut generator = GENERATOR.lock();
    let seed = generator.next_seed();
    generator.stream.set_key(&seed);
    generator.stream.fill(bytes);
}

impl Generator {
    /// The key that comes next, of the last one's stream; the first one of the machine.
    fn next_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        if self.is_keyed {
            self.stream.fill(&mut seed);
            return seed;
        }
        self.is_keyed = true;
        for chunk in seed.as_chunks_mut::<8>().0 {
            // SAFETY: RDTSC is allowed in the kernel.
            let ticks = unsafe { core::arch::x86_64::_rdtsc() };
            let word =
                hardware_word().unwrap_or(0) ^ ticks.rotate_left(32) ^ crate::time::wall_clock_ns();
            *chunk = word.to_le_bytes();
        }
        seed
    }
}

fn hardware_word() -> Option<u64> {
    /// Tries before the source counts as broken (SDM volume 1, 7.3.17).
    const TRIES: usize = 10;
    let features = features();
    for _ in 0..TRIES {
        let word: u64;
        let good: u8;
        if features.contains(Features::RDSEED) {
            // SAFETY: the processor has RDSEED.
            unsafe {
                core::arch::asm!("rdseed {}", "setc {}", out(reg) word, out(reg_byte) good, options(nomem, nostack));
            }
        } else if features.contains(Features::RDRAND) {
            // SAFETY: the processor has RDRAND.
            unsafe {
                core::arch::asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) good, options(nomem, nostack));
            }
        } else {
            return None;
        }
        if good != 0 {
            return Some(word);
        }
    }
    None
}
