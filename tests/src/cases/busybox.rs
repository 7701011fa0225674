//! Applets of Debian's busybox-static, compared with the same busybox on the host.

use std::path::{Path, PathBuf};

use kiln_tests::child::Child;
use kiln_tests::image::Run;
use kiln_tests::places;

use crate::Tests;

/// A directory with some files of known contents, at the same path in the image.
pub fn tree() -> Result<PathBuf, String> {
    let path = places::made().join("tree");
    let made = || -> std::io::Result<()> {
        if path.join("done").exists() {
            return Ok(());
        }
        std::fs::create_dir_all(path.join("below/deeper"))?;
        std::fs::create_dir_all(path.join("empty"))?;
        let lines: String = (0..400)
            .map(|n| format!("{:03} line of {} words\n", n * 7919 % 401, n % 7))
            .collect();
        std::fs::write(path.join("lines"), &lines)?;
        std::fs::write(path.join("table"), "b:2:two\na:1:one\nc:3:three\na:1:one\n")?;
        std::fs::write(
            path.join("below/bytes"),
            (0..=255).cycle().take(70_001).collect::<Vec<u8>>(),
        )?;
        std::fs::write(path.join("below/deeper/größe"), "ä\n")?;
        std::fs::write(path.join("below/nothing"), "")?;
        let _ = std::fs::remove_file(path.join("link"));
        std::os::unix::fs::symlink("below/deeper", path.join("link"))?;
        let _ = std::fs::remove_file(path.join("nowhere"));
        std::os::unix::fs::symlink("/no/such/place", path.join("nowhere"))?;
        std::fs::write(path.join("done"), "")
    };
    // Two tests may come here at the same time.
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = MAKING.lock();
    made().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Words of a command; `@` stands for the directory with the files.
const COMMANDS: &[(&str, &[&str])] = &[
    ("echo", &["echo", "-e", "one\\ttwo", "größe"]),
    ("cat", &["cat", "@/lines", "@/below/bytes", "@/link/größe"]),
    ("ls", &["ls", "-1aF", "@", "@/below"]),
    (
        "ls_long",
        &["ls", "-ln", "@/lines", "@/below/bytes", "@/link"],
    ),
    ("sha256sum", &["sha256sum", "@/lines", "@/below/bytes"]),
    ("md5sum", &["md5sum", "@/below/bytes", "@/below/nothing"]),
    ("sort", &["sort", "-k2", "-r", "@/lines"]),
    ("sort_unique", &["sort", "-u", "-t:", "-k2n", "@/table"]),
    ("uniq", &["uniq", "-c", "@/table"]),
    ("wc", &["wc", "@/lines", "@/table"]),
    ("head", &["head", "-n", "3", "@/lines", "@/table"]),
    ("tail", &["tail", "-c", "100", "@/lines"]),
    (
        "sed",
        &["sed", "-n", "s/line \\(of\\)/LINE \\1/;10,20p", "@/lines"],
    ),
    (
        "awk",
        &[
            "awk",
            "-F:",
            "{ sum += $2; seen[$1]++ } END { print sum, length(seen), sqrt(2), substr(\"kiln\", 2) }",
            "@/table",
        ],
    ),
    ("grep", &["grep", "-nE", "^0.1 .* [36] w", "@/lines"]),
    ("grep_nothing", &["grep", "nothing like it", "@/lines"]),
    ("grep_tree", &["grep", "-rl", "ä", "@"]),
    ("tr", &["tr", "a-z", "A-Z"]),
    ("cut", &["cut", "-d:", "-f1,3", "@/table"]),
    ("date", &["date", "-u", "-d", "@0", "+%F %T %A"]),
    ("expr", &["expr", "6", "*", "7"]),
    (
        "test",
        &[
            "test",
            "-f",
            "@/lines",
            "-a",
            "-d",
            "@/empty",
            "-a",
            "!",
            "-e",
            "@/nowhere",
        ],
    ),
    ("test_false", &["test", "-x", "@/lines"]),
    (
        "printf",
        &["printf", "%05d %s %x %%\\n", "42", "größe", "255"],
    ),
    (
        "dd",
        &[
            "dd",
            "if=@/below/bytes",
            "bs=1000",
            "skip=3",
            "count=2",
            "status=none",
        ],
    ),
    (
        "od",
        &["od", "-A", "x", "-t", "x1", "-N", "64", "@/below/bytes"],
    ),
    ("hexdump", &["hexdump", "-C", "-n", "48", "@/below/bytes"]),
    ("cksum", &["cksum", "@/below/bytes"]),
    ("base64", &["base64", "@/lines"]),
    ("bc", &["dc", "-e", "2 10 ^ p"]),
    ("seq", &["seq", "1", "3", "20"]),
    ("readlink", &["readlink", "-f", "@/link/größe"]),
    (
        "stat",
        &[
            "stat",
            "-c",
            "%n %s %a %F %u %g %Y %h",
            "@/lines",
            "@/below/bytes",
            "@/nowhere",
        ],
    ),
    ("basename", &["basename", "/a/b.c", ".c"]),
    ("pwd", &["pwd"]),
    ("true", &["true"]),
    ("false", &["false"]),
    ("missing_file", &["cat", "@/not-there"]),
    ("directory_as_file", &["cat", "@/below"]),
    ("missing_applet", &["no-such-applet"]),
    ("gzip", &["gzip", "-c", "@/lines"]),
    (
        "tar",
        &[
            "tar",
            "-cf",
            "-",
            "-C",
            "@",
            "lines",
            "table",
            "below/deeper",
        ],
    ),
    (
        "ash",
        &[
            "ash",
            "-c",
            "x=5; while [ $x -gt 0 ]; do echo $((x * x)); x=$((x - 1)); done; cd @/below && pwd; set -- a 'b c'; echo $# \"$2\"; case abc in a*) echo yes;; esac; exit 7",
        ],
    ),
    (
        "ash_function",
        &[
            "ash",
            "-c",
            "f() { local a=$1; echo ${a%.c} ${#a} ${a:-none}; return 4; }; f file.c; echo $?; read line < @/lines; echo \"$line\"; trap 'echo bye' EXIT; cd @; echo *",
        ],
    ),
    (
        "ash_input",
        &[
            "ash",
            "-c",
            "n=0; while read -r a b; do n=$((n + 1)); last=$a; done; echo $n $last",
        ],
    ),
    (
        "ash_exec",
        &[
            "ash",
            "-c",
            "cd @/below; X=1 exec /bin/busybox ash -c 'echo $0 $X $PWD; exec /bin/busybox cat nothing lines ../table' name",
        ],
    ),
    ("env", &["env", "-i", "A=b c", "/bin/busybox", "env"]),
    ("ash_error", &["ash", "-c", "echo ${unset?is not set}"]),
];

/// What the commands that read get to read.
const INPUT: &[u8] = b"some text\nto read\nfrom the console\n";

fn compare(words: &[&str]) -> Result<(), String> {
    let tree = tree()?;
    let words: Vec<String> = words
        .iter()
        // A date's @ stands alone before a number.
        .map(|word| {
            if *word == "@0" {
                (*word).to_owned()
            } else {
                word.replace('@', &tree.to_string_lossy())
            }
        })
        .collect();
    let words: Vec<String> = std::iter::once("/bin/busybox".to_owned())
        .chain(words)
        .collect();
    let host = Child::new("/bin/busybox")
        .args(words.iter().skip(1))
        .one_stream()
        .plain_environment()
        .directory(Path::new("/"))
        .input(INPUT)
        .run()?;
    let run = Run::new()
        .package("busybox-static")
        .same_directory(&tree)
        .input(INPUT);
    run.run(&words)?.expect_same(&host)?;
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for &(name, words) in COMMANDS {
        tests.add(format!("busybox::{name}"), move || compare(words));
    }
    tests.add("busybox::find", || {
        // In which order a directory lists its names is nobody's promise.
        let tree = tree()?.to_string_lossy().into_owned();
        let words = ["/bin/busybox", "find", &tree, "-type", "f", "-size", "-3"];
        let host = Child::new("/bin/busybox")
            .args(&words[1..])
            .plain_environment()
            .run()?;
        let run = Run::new()
            .package("busybox-static")
            .same_directory(Path::new(&tree));
        let output = run.run(&words)?.expect_status(0)?;
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let (found, expected) = (sorted(output.text()), sorted(host.text()));
        kiln_tests::expect::ensure(found == expected, || {
            format!("{found:?}\ninstead of {expected:?}")
        })
    });
}
