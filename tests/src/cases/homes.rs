//! Servers in every kind of home: the same workload, the same answers.
//!
//! What a program sees must not tell where a server lives, so every run is compared, byte for byte,
//! with the one in which each server has an address space of its own.

use std::path::Path;

use kiln_tests::child::Output;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln};
use kiln_tests::places;

use super::survival::{SURVIVOR_FILES, survivor_files};
use crate::Tests;

/// Homes of the name space, the image's root and the memory file system, and a name for them.
const MIXTURES: [(&str, [&str; 3]); 8] = [
    ("shared", ["shared:all", "shared:all", "shared:all"]),
    ("kernel", ["kernel", "kernel", "kernel"]),
    (
        "file_systems_shared",
        ["own", "shared:files", "shared:files"],
    ),
    ("root_apart", ["shared:rest", "own", "shared:rest"]),
    ("root_in_kernel", ["own", "kernel", "own"]),
    (
        "root_in_kernel_rest_shared",
        ["shared:rest", "kernel", "shared:rest"],
    ),
    ("file_systems_in_kernel", ["own", "kernel", "kernel"]),
    ("two_shared", ["shared:one", "shared:two", "shared:two"]),
];

const OWN: [&str; 3] = ["own", "own", "own"];

/// A manifest of one static program over a root that can be written.
fn manifest(program: &Path, arguments: &[&str], homes: [&str; 3]) -> String {
    let [name_space, image_root, memory_fs] = homes;
    let arguments: Vec<String> = arguments.iter().map(|word| format!("{word:?}")).collect();
    format!(
        r#"name = "homes"
[program]
path = "/bin/program"
called = "busybox"
args = [{}]
[root]
from = [{{ binary = "{}", to = "/bin/program" }}]
[servers]
name_space = {{ home = "{name_space}" }}
image_root = {{ home = "{image_root}" }}
memory_fs = {{ home = "{memory_fs}" }}
"#,
        arguments.join(", "),
        program.display()
    )
}

/// Runs a manifest called `name`.
fn run(name: &str, text: &str, options: &[&str]) -> Result<Output, String> {
    let manifest = Written::new(name, text)?;
    let path = manifest.path.to_string_lossy().into_owned();
    let limit = ["--timeout", "60"].as_slice();
    let limit = if options.contains(&"--timeout") {
        &[]
    } else {
        limit
    };
    let words = ["run"].iter().chain(limit).chain(options);
    kiln(words.copied().chain([path.as_str()]))
}

/// The same program in both homes.
fn compare(
    name: &str,
    program: &Path,
    arguments: &[&str],
    homes: [&str; 3],
    options: &[&str],
) -> Result<(), String> {
    let own = run(
        &format!("{name}-own"),
        &manifest(program, arguments, OWN),
        options,
    )?;
    let other = run(name, &manifest(program, arguments, homes), options)?;
    ensure(!own.out.is_empty(), || format!("no output: {}", own.err))?;
    other.expect_text(&own.text())?.expect_status(own.status)?;
    Ok(())
}

fn busybox() -> Result<&'static Path, String> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or_else(|| "there is no busybox".to_owned())
}

/// The example's server and client; the counter lives in `home`.
fn counter(home: &str) -> Result<String, String> {
    let text = format!(
        "name = \"counter\"\npersonality = \"counter_client\"\n[program]\npath = \"/\"\n\
         [root]\nfrom = []\nwritable = false\n[servers]\ncounter = {{ home = \"{home}\" }}\n"
    );
    let output = run(&format!("counter-{}", home.replace(':', "-")), &text, &[])?;
    Ok(output.expect_status(0)?.text())
}

/// Python, with files that it maps shared, in these homes.
fn shared_mappings(name: &str, homes: [&str; 3]) -> Result<Output, String> {
    let [name_space, image_root, memory_fs] = homes;
    let script = places::sources().join("tests/programs/shared.py");
    let text = format!(
        r#"name = "homes"
[program]
path = "/usr/bin/python3"
args = ["/shared.py"]
[root]
from = [
  {{ packages = ["python3"] }},
  {{ files = [{{ from = "{}", to = "/shared.py" }}] }},
]
[servers]
name_space = {{ home = "{name_space}" }}
image_root = {{ home = "{image_root}" }}
memory_fs = {{ home = "{memory_fs}" }}
[machine]
memory = "256M"
"#,
        script.display()
    );
    run(&format!("homes-python-{name}"), &text, &[])
}

/// One of the servers of a home is ended under a program: all of the home are started again with it, once, and
/// the program is told of what is lost and goes on with the rest.
fn ends_together(cpus: &str) -> Result<(), String> {
    let program = compile::c("survivor", Linkage::Static)?;
    let data = survivor_files(&format!("homes-{cpus}"))?;
    let files: String = SURVIVOR_FILES
        .iter()
        .map(|name| {
            let path = data.join(name);
            format!(
                ", {{ files = [{{ from = \"{}\", to = \"/data/{name}\" }}] }}",
                path.display()
            )
        })
        .collect();
    let text = manifest(&program, &["300"], ["shared:all"; 3])
        .replacen(" }]", &format!(" }}{files}]"), 1)
        .replacen("called = \"busybox\"", "called = \"program\"", 1);
    let options = ["--cpus", cpus, "--end", "memory_fs@memory_fs:200"];
    let output = run(&format!("homes-together-{cpus}"), &text, &options)?.expect_status(0)?;
    // As when each of the servers ends.
    let output = output.expect_text(
        "held in the image: EIO\nheld in memory: EIO\nmapped: works\nopened anew in the image: works\n\
         opened anew in memory: ENOENT\nwritten anew: works\nread anew: works\nother errors: 0\n",
    )?;
    let again = output.err.matches(" was started again").count();
    ensure(again == 1, || format!("{again} times: {}", output.err))
}

/// What `inspect` says of an image with servers in all kinds of homes.
fn inspected() -> Result<(), String> {
    let program = compile::c("hello", Linkage::Static)?;
    let text = manifest(&program, &[], ["shared:rest", "kernel", "shared:rest"]);
    let manifest = Written::new("homes-inspected", &text)?;
    let of_manifest = kiln(["inspect".as_ref(), manifest.path.as_os_str()])?;
    let image = manifest.build()?;
    let of_image = kiln(["inspect".as_ref(), image.as_os_str()])?;
    for told in [of_manifest, of_image] {
        let told = told.expect_status(0)?.text();
        for home in [
            "image_root (kernel)",
            "name_space (shared:rest)",
            "memory_fs (shared:rest)",
        ] {
            ensure(told.contains(home), || format!("no {home} in {told}"))?;
        }
    }
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for (name, homes) in MIXTURES {
        tests.add(format!("homes::files::{name}"), move || {
            let program = compile::c("files", Linkage::Static)?;
            compare(
                &format!("homes-files-{name}"),
                &program,
                &["/tmp"],
                homes,
                &[],
            )
        });
        tests.add(format!("homes::busybox::{name}"), move || {
            let busybox = busybox()?;
            for (number, words) in [
                ["find", "/etc", "/bin", "/tmp"].as_slice(),
                &["sha256sum", "/bin/program", "/etc/passwd"],
                &["cp", "-v", "-a", "/bin/program", "/tmp/copy"],
                &["ls", "-l", "/bin", "/nothing/here"],
            ]
            .into_iter()
            .enumerate()
            {
                let name = format!("homes-busybox-{name}-{number}");
                compare(&name, busybox, words, homes, &[])?;
            }
            Ok(())
        });
    }
    for (name, homes) in MIXTURES {
        // Files that are mapped, and what is stored in them.
        tests.add(format!("homes::mapping::{name}"), move || {
            let program = compile::c("mapping", Linkage::Static)?;
            let name = format!("homes-mapping-{name}");
            compare(&name, &program, &["/tmp/written"], homes, &[])
        });
    }
    tests.add("homes::mapping::kernel_on_two_processors", || {
        let program = compile::c("mapping", Linkage::Static)?;
        let homes = ["kernel", "kernel", "kernel"];
        let options = ["--cpus", "2"];
        compare(
            "homes-mapping-two",
            &program,
            &["/tmp/written"],
            homes,
            &options,
        )
    });
    for (name, homes) in MIXTURES.into_iter().take(2) {
        tests.add(format!("homes::python::{name}"), move || {
            let own = shared_mappings("own", OWN)?;
            let other = shared_mappings(name, homes)?;
            ensure(own.text().contains("shared memory 7 0"), || own.text())?;
            other.expect_text(&own.text())?.expect_status(own.status)?;
            Ok(())
        });
    }
    tests.add("homes::ends_together", || ends_together("1"));
    tests.add("homes::ends_together_two_processors", || ends_together("2"));
    tests.add("homes::files::kernel_on_two_processors", || {
        let program = compile::c("files", Linkage::Static)?;
        let homes = ["kernel", "kernel", "kernel"];
        compare(
            "homes-files-two",
            &program,
            &["/tmp"],
            homes,
            &["--cpus", "2"],
        )
    });
    tests.add("homes::stack_is_deep_enough", || {
        let program = compile::c("files", Linkage::Static)?;
        let text = manifest(&program, &["/tmp"], ["kernel", "kernel", "kernel"]);
        let output = run("homes-stack", &text, &["-v"])?.expect_status(0)?;
        let line = output.err.lines().find_map(|line| {
            let (used, _) = line.split_once(" of 32768 bytes of a kernel stack were used")?;
            used.rsplit([':', ' ']).next()?.parse::<u32>().ok()
        });
        ensure(
            line.is_some_and(|used| (1000..24576).contains(&used)),
            || format!("{line:?} in {}", output.err),
        )
    });
    tests.add("homes::counter", || {
        let own = counter("own")?;
        ensure(own.starts_with("42; "), || format!("{own:?}"))?;
        for home in ["shared:numbers", "kernel"] {
            let other = counter(home)?;
            ensure(own == other, || {
                format!("{home}: {other:?} and not {own:?}")
            })?;
        }
        Ok(())
    });
    tests.add("homes::refused", || {
        let program = compile::c("hello", Linkage::Static)?;
        let text = manifest(&program, &[], ["own", "own", "kernel"]);
        let output = run("homes-refused", &text, &[])?;
        ensure(output.status != 0, || "it was composed".to_owned())?;
        let reason =
            "`memory_fs` cannot live in the kernel: it calls `image_root`, which lives outside";
        ensure(output.err.contains(reason), || output.err.clone())
    });
    tests.add("homes::inspected", inspected);
    for (name, homes) in MIXTURES.into_iter().take(2) {
        tests.add(format!("homes::attacked::{name}"), move || {
            let program = compile::c("hello", Linkage::Static)?;
            let text = manifest(&program, &[], homes).replacen(
                "[program]",
                "personality = \"hostile\"\n[program]",
                1,
            ) + "[machine]\nmemory = \"64M\"\n";
            let options = ["--timeout", "240"];
            let output = run(&format!("homes-attacked-{name}"), &text, &options)?;
            let output = output.expect_status(0)?;
            ensure(output.text().trim_end().ends_with(": ok"), || output.text())
        });
        tests.add(format!("homes::full::{name}"), move || {
            // A server whose memory is full says so, wherever that memory is.
            let words = ["dd", "if=/dev/zero", "of=/tmp/x", "bs=64k"];
            let text = manifest(busybox()?, &words, homes) + "[machine]\nmemory = \"32M\"\n";
            let output = run(&format!("homes-full-{name}"), &text, &[])?;
            let output = output.expect_status(1)?;
            let (said, warned) = (output.text(), output.err);
            let reason = "No space left on device";
            ensure(said.contains(reason) || warned.contains(reason), || {
                said + &warned
            })
        });
    }
}
