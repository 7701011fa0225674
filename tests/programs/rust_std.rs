//! A program of Rust's standard library: collections, files, formatting, time, errors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments: {arguments:?}");
    println!("variable: {:?}", std::env::var("RUST_TEST_VARIABLE"));

    let text = "the quick brown fox jumps over the lazy dog and the fox runs";
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let sorted: BTreeMap<_, _> = counts.iter().collect();
    println!("{sorted:?}");
    let letters: HashSet<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
    println!("{} letters", letters.len());

    let mut sieve = vec![true; 100_000];
    for n in 2..sieve.len() {
        if sieve[n] {
            (n * n..sieve.len()).step_by(n).for_each(|m| sieve[m] = false);
        }
    }
    println!("{} primes", sieve.iter().skip(2).filter(|p| **p).count());

    let directory = std::env::temp_dir().join(format!("rust-std-{}", std::process::id()));
    fs::create_dir_all(directory.join("a/b"))?;
    let path = directory.join("a/b/file.txt");
    let mut file = File::create(&path)?;
    for line in 0..1000 {
        writeln!(file, "line {line} {:.3}", f64::from(line).sqrt())?;
    }
    drop(file);
    let lines: Vec<String> = BufReader::new(File::open(&path)?).lines().collect::<Result<_, _>>()?;
    println!("{} lines, the last: {}", lines.len(), lines[999]);
    OpenOptions::new().append(true).open(&path)?.write_all(b"the end")?;
    let mut file = File::open(&path)?;
    file.seek(SeekFrom::End(-7))?;
    let mut end = String::new();
    file.read_to_string(&mut end)?;
    println!("{end}, {} bytes", fs::metadata(&path)?.len());
    fs::rename(&path, directory.join("moved"))?;
    let mut names: Vec<String> = fs::read_dir(&directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    println!("{names:?}");
    println!("{:?}", fs::read("/no/such/file").map_err(|error| error.kind()));
    fs::remove_dir_all(&directory)?;
    println!("gone: {}", !directory.exists());

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("slept: {}", start.elapsed() >= Duration::from_millis(20));
    println!("after 2020: {}", SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs() > 1_577_836_800));

    let mut large = String::new();
    for n in 0..50_000u64 {
        let _ = write!(large, "{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    let sum = large.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    println!("{} characters, {sum:x}", large.len());

    std::panic::set_hook(Box::new(|report| println!("hook: {report}")));
    let caught = std::panic::catch_unwind(|| {
        let empty: Vec<u32> = Vec::new();
        empty.iter().max().copied().expect("nothing there")
    });
    println!("caught: {}", caught.is_err());
    std::process::exit(7);
}
