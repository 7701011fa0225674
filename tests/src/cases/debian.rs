//! Programs from Debian's packages, dynamic and unmodified, compared with the host's.

use std::path::{Path, PathBuf};

use kiln_tests::child::{Child, Output};
use kiln_tests::expect::{ensure, same_bytes};
use kiln_tests::image::Run;
use kiln_tests::places;
use sha2::{Digest, Sha256};

use super::busybox::tree;
use crate::Tests;

/// The same words on the host, both streams in one, in the same environment.
fn on_host<S: AsRef<str>>(words: &[S], input: &[u8]) -> Result<Output, String> {
    let (program, words) = words.split_first().ok_or("no words")?;
    Child::new(program.as_ref())
        .args(words.iter().map(AsRef::as_ref))
        .one_stream()
        .plain_environment()
        .directory(Path::new("/"))
        .input(input)
        .run()
}

fn same<S: AsRef<str>>(run: &Run, words: &[S], input: &[u8]) -> Result<(), String> {
    let host = on_host(words, input)?;
    run.clone().input(input).run(words)?.expect_same(&host)?;
    Ok(())
}

/// A run with the directory of the test programs at the same path.
fn with_scripts(package: &str) -> Run {
    Run::new()
        .package(package)
        .same_directory(&scripts())
        .options(&["--mem", "256M"])
}

fn scripts() -> PathBuf {
    places::sources().join("tests/programs")
}

/// Path of a script; the same on both sides.
fn script(name: &str) -> String {
    scripts().join(name).to_string_lossy().into_owned()
}

/// Words of coreutils; `@` stands for the directory with the files.
const COREUTILS: &[(&str, &[&str])] = &[
    (
        "sha256sum",
        &["/usr/bin/sha256sum", "@/lines", "@/below/bytes"],
    ),
    ("sort", &["/usr/bin/sort", "-k5", "-n", "@/lines"]),
    (
        "stat",
        &[
            "/usr/bin/stat",
            "-c",
            "%n %s %a %F %u %g %Y %h %N",
            "@/lines",
            "@/below/bytes",
            "@/nowhere",
        ],
    ),
    ("wc", &["/usr/bin/wc", "@/lines", "@/below/bytes"]),
    ("od", &["/usr/bin/od", "-c", "-N", "100", "@/below/bytes"]),
    ("head", &["/usr/bin/head", "-n2", "@/lines", "@/table"]),
    ("tac", &["/usr/bin/tac", "@/table"]),
    ("join", &["/usr/bin/join", "-t:", "@/table", "@/table"]),
    ("seq", &["/usr/bin/seq", "0.1", "0.1", "2"]),
    (
        "date",
        &["/usr/bin/date", "-u", "-d", "2026-01-31 +1 month", "+%F %j"],
    ),
    ("factor", &["/usr/bin/factor", "1234567890123456789"]),
    ("printenv", &["/usr/bin/printenv", "PATH", "HOME"]),
    ("pwd", &["/usr/bin/pwd"]),
    ("missing", &["/usr/bin/cat", "@/not-there"]),
    ("id", &["/usr/bin/id", "-u"]),
];

/// `ls -lR` without what differs between file systems: the size of directories and of blocks.
fn listing(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with("total "))
        .map(|line| {
            let mut fields: Vec<&str> = line.split_whitespace().collect();
            if line.starts_with('d')
                && let Some(size) = fields.get_mut(4)
            {
                *size = "-";
            }
            fields.join(" ")
        })
        .collect()
}

fn list_tree() -> Result<(), String> {
    let tree = tree()?;
    // The names of owners other than root are the host's affair.
    let flags = if on_host(&["/usr/bin/id", "-u"], b"")?.text() == "0\n" {
        "-lR"
    } else {
        "-lnR"
    };
    let words = ["/usr/bin/ls", flags, &tree.to_string_lossy()];
    let host = on_host(&words, b"")?;
    let output = Run::new()
        .package("coreutils")
        .same_directory(&tree)
        .run(&words)?
        .expect_status(0)?;
    let (found, expected) = (listing(&output.text()), listing(&host.text()));
    ensure(found.len() > 15, || format!("{found:?}"))?;
    same_bytes(found.join("\n").as_bytes(), expected.join("\n").as_bytes())
}

/// A file of `size` MiB that no compression makes small.
fn large_file(size: usize) -> Result<PathBuf, String> {
    // Two tests may want the same file at a time, and neither may see half of it.
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = MAKING.lock();
    let path = places::made().join(format!("large-{size}"));
    if std::fs::metadata(&path).is_ok_and(|data| data.len() == (size as u64) << 20) {
        return Ok(path);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size << 20);
    while bytes.len() < size << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn cat_large() -> Result<(), String> {
    let path = large_file(50)?;
    let run = Run::new()
        .package("coreutils")
        .options(&["--mem", "256M"])
        .limit(300);
    let output = run
        .file(&path, "/large")
        .run(&["/usr/bin/cat", "/large"])?
        .expect_status(0)?;
    let expected = std::fs::read(&path).map_err(|error| error.to_string())?;
    ensure(output.out.len() == expected.len(), || {
        format!("{} bytes", output.out.len())
    })?;
    ensure(sum(&output.out) == sum(&expected), || {
        "the bytes changed".to_owned()
    })
}

fn sum_large() -> Result<(), String> {
    let path = large_file(50)?;
    let run = Run::new()
        .package("coreutils")
        .options(&["--mem", "256M"])
        .limit(300);
    let output = run
        .file(&path, "/large")
        .run(&["/usr/bin/sha256sum", "/large"])?;
    let expected = sum(&std::fs::read(&path).map_err(|error| error.to_string())?);
    output
        .expect_text(&format!("{expected}  /large\n"))?
        .expect_status(0)?;
    Ok(())
}

fn copy_large() -> Result<(), String> {
    // Reads the root, writes the memory file system, reads it again.
    let path = large_file(8)?;
    let program = "import shutil, hashlib; shutil.copyfile('/large', '/tmp/copy'); \
        print(hashlib.sha256(open('/tmp/copy', 'rb').read()).hexdigest())";
    let run = Run::new()
        .package("python3")
        .options(&["--mem", "512M"])
        .file(&path, "/large");
    let expected = sum(&std::fs::read(&path).map_err(|error| error.to_string())?);
    run.run(&["/usr/bin/python3", "-c", program])?
        .expect_text(&format!("{expected}\n"))?
        .expect_status(0)?;
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("coreutils::ls_tree", list_tree);
    for &(name, words) in COREUTILS {
        tests.add(format!("coreutils::{name}"), move || {
            let tree = tree()?;
            let words: Vec<String> = words
                .iter()
                .map(|word| word.replace('@', &tree.to_string_lossy()))
                .collect();
            same(
                &Run::new().package("coreutils").same_directory(&tree),
                &words,
                b"",
            )
        });
    }
    tests.add("coreutils::cat_of_50_megabytes", cat_large);
    tests.add("coreutils::sum_of_50_megabytes", sum_large);
    tests.add("python::script", || {
        same(
            &with_scripts("python3"),
            &[
                "/usr/bin/python3",
                &script("script.py"),
                "one",
                "zwei größe",
            ],
            b"",
        )
    });
    tests.add("python::shared_mappings", || {
        let words = ["/usr/bin/python3", &script("shared.py")];
        same(&with_scripts("python3"), &words, b"")
    });
    tests.add("python::four_processors", || {
        let run = with_scripts("python3").options(&["--cpus", "4", "--machine", "q35"]);
        same(
            &run,
            &["/usr/bin/python3", &script("script.py"), "one"],
            b"",
        )
    });
    tests.add("python::input", || {
        let program =
            b"import sys\nfor n in range(3):\n    print(n, sys.platform)\nraise SystemExit(4)\n";
        same(
            &Run::new().package("python3").options(&["--mem", "256M"]),
            &["/usr/bin/python3", "-"],
            program,
        )
    });
    tests.add("python::copy_of_8_megabytes", copy_large);
    tests.add("python::unhandled_error", || {
        let words = [
            "/usr/bin/python3",
            "-c",
            "import os\nos.open('/no/such/file', os.O_RDONLY)",
        ];
        same(
            &Run::new().package("python3").options(&["--mem", "256M"]),
            &words,
            b"",
        )
    });
    let queries =
        || std::fs::read(scripts().join("queries.sql")).map_err(|error| error.to_string());
    tests.add("sqlite::in_memory", move || {
        same(
            &Run::new().package("sqlite3"),
            &["/usr/bin/sqlite3", ":memory:"],
            &queries()?,
        )
    });
    tests.add("sqlite::in_a_file", move || {
        let path = std::env::temp_dir().join(format!("kiln-sqlite-{}.db", std::process::id()));
        let host = on_host(&["/usr/bin/sqlite3", &path.to_string_lossy()], &queries()?);
        let _ = std::fs::remove_file(&path);
        let words = ["/usr/bin/sqlite3", "/tmp/file.db"];
        Run::new()
            .package("sqlite3")
            .input(&queries()?)
            .run(&words)?
            .expect_same(&host?)?;
        Ok(())
    });
    tests.add("perl::script", || {
        same(
            &with_scripts("perl"),
            &["/usr/bin/perl", &script("script.pl"), "one", "two"],
            b"",
        )
    });
    tests.add("perl::one_liner", || {
        let words = [
            "/usr/bin/perl",
            "-ne",
            "print \"$.: $_\" if /o/; END { print \"$.\\n\" }",
        ];
        same(
            &Run::new().package("perl-base"),
            &words,
            b"one\ntwo\nthree\n",
        )
    });
    tests.add("lua::script", || {
        same(
            &with_scripts("lua5.4"),
            &["/usr/bin/lua5.4", &script("script.lua"), "one", "two"],
            b"",
        )
    });
    tests.add("scripts::by_their_first_line", || {
        let path = places::made().join("first-line");
        let text = "#!/usr/bin/perl -w\nprint \"$0 @ARGV\\n\"; exit 6;\n";
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let made = Child::new("/bin/chmod")
            .args(["755".as_ref(), path.as_os_str()])
            .run()?;
        made.expect_status(0)?;
        let path = path.to_string_lossy().into_owned();
        let run = Run::new()
            .package("perl-base")
            .file(Path::new(&path), &path);
        same(&run, &[path.as_str(), "a", "b c"], b"")
    });
}
