//! A Linux program goes on while servers of its image are ended, and gets nothing by forged names.

use std::path::PathBuf;

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Run, Written, kiln, least_manifest};
use kiln_tests::places;

use super::c_programs::in_image;
use crate::Tests;

/// How often the program looks. Servers end after so many calls that it has got what it holds, and long
/// before it has looked so often: each time it calls each of the file systems thrice at least.
const ROUNDS: &str = "300";

/// What the program finds when all is well, in its order.
const ASKED: [&str; 7] = [
    "held in the image",
    "held in memory",
    "mapped",
    "opened anew in the image",
    "opened anew in memory",
    "written anew",
    "read anew",
];

/// The files that the program `survivor` is given, in a folder of their own.
pub const SURVIVOR_FILES: [&str; 3] = ["held", "other", "mapped"];

/// Makes them for the test `name`; answers their folder.
pub fn survivor_files(name: &str) -> Result<PathBuf, String> {
    let folder = places::made().join("survival").join(name);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let contents: [&[u8]; 3] = [b"held here\n", b"other one\n", &[b'm'; 65536]];
    for (name, content) in SURVIVOR_FILES.into_iter().zip(contents) {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(folder)
}

/// Ends servers while the program runs; it finds what is not said here to work.
fn survive(
    name: &str,
    linkage: Linkage,
    options: &[&str],
    differs: &[(&str, &str)],
    log: &[&str],
) -> Result<(), String> {
    let program = compile::c("survivor", linkage)?;
    let data = survivor_files(name)?;
    let mut run = Run::new().options(options);
    for name in SURVIVOR_FILES {
        run = run.file(&data.join(name), &format!("/data/{name}"));
    }
    let output = in_image(&run, &program, &[ROUNDS])?.expect_status(0)?;
    let found = |asked: &str| {
        let differs = differs.iter().find(|(what, _)| *what == asked);
        differs.map_or("works", |(_, found)| found)
    };
    let mut expected: String = ASKED
        .iter()
        .map(|asked| format!("{asked}: {}\n", found(asked)))
        .collect();
    expected.push_str("other errors: 0\n");
    let output = output.expect_text(&expected)?;
    for line in log {
        ensure(output.err.contains(line), || {
            format!("no {line:?} in {}", output.err)
        })?;
    }
    Ok(())
}

/// A program that maps a file gets a signal for a page that its server does not bring, and goes on.
fn deaf(cpus: &str) -> Result<(), String> {
    let program = compile::c("pager", Linkage::Static)?;
    let text = format!(
        r#"name = "deaf"
[program]
path = "/bin/pager"
[root]
from = [{{ binary = "{}", to = "/bin/pager" }}]
[servers]
name_space = {{}}
image_root = {{}}
memory_fs = {{ answer-limit = "500ms" }}
"#,
        program.display()
    );
    let manifest = Written::new(&format!("deaf_{cpus}"), &text)?;
    let words = [
        "run",
        "--timeout",
        "60",
        "--cpus",
        cpus,
        "--deaf",
        "memory_fs",
    ];
    let words = words.map(AsRef::<std::ffi::OsStr>::as_ref);
    let output = kiln(words.into_iter().chain([manifest.path.as_os_str()]))?.expect_status(0)?;
    let output =
        output.expect_text("SIGBUS at the address\nSIGBUS at the address\nwritten: -1\n")?;
    for line in [
        "memory_fs did not bring the page at 0x2000 of its file ",
        " within 500 ms and was ended",
        "memory_fs was started again",
    ] {
        ensure(output.err.contains(line), || {
            format!("no {line:?} in {}", output.err)
        })?;
    }
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    let image = [("held in the image", "EIO")];
    // What was written is gone with the server that kept it.
    let memory = [
        ("held in memory", "EIO"),
        ("opened anew in memory", "ENOENT"),
    ];
    for (server, differs) in [
        ("image_root", &image[..]),
        ("memory_fs", &memory),
        ("name_space", &[]),
    ] {
        let differs = differs.to_vec();
        for cpus in ["1", "2"] {
            let differs = differs.clone();
            tests.add(format!("survival::{server}_ends_{cpus}"), move || {
                let end = format!("{server}@memory_fs:200");
                let again = format!("{server} was started again");
                survive(
                    &format!("{server}-{cpus}"),
                    Linkage::Static,
                    &["--cpus", cpus, "--end", &end],
                    &differs,
                    &[&again],
                )
            });
        }
    }
    tests.add(
        "survival::two_servers_end_under_a_dynamic_program",
        move || {
            let end = [
                "--end",
                "image_root@call:200",
                "--end",
                "memory_fs@call:400",
            ];
            let differs = [&image[..], &memory].concat();
            let again = ["image_root was started", "memory_fs was started"];
            survive("both", Linkage::Dynamic, &end, &differs, &again)
        },
    );
    tests.add("survival::a_server_that_ends_too_often_stays_ended", || {
        let end = ["200", "220", "240", "260"].map(|count| format!("image_root@call:{count}"));
        let options: Vec<&str> = end.iter().flat_map(|end| ["--end", end]).collect();
        let differs = [
            ("held in the image", "EIO"),
            ("opened anew in the image", "EIO"),
            // Whether the name is taken there cannot be known.
            ("written anew", "EIO"),
            ("read anew", "EIO"),
        ];
        let stays = ["image_root was started again 3 times in 10000 ms: it stays ended"];
        survive("often", Linkage::Static, &options, &differs, &stays)
    });
    // Who calls by itself, by names that are not its own, gets nothing, also when others come in the places
    // of servers that were there.
    for (name, options, words) in [
        ("1", &["--cpus", "1"][..], &[][..]),
        ("2", &["--cpus", "2"], &[]),
        (
            "ended",
            &[
                "--end",
                "image_root@call:9000",
                "--end",
                "memory_fs@call:9000",
            ],
            &["2"],
        ),
    ] {
        tests.add(
            format!("survival::forged_calls_are_refused_{name}"),
            move || {
                let program = compile::c("forger", Linkage::Static)?;
                let output = in_image(&Run::new().options(options), &program, words)?;
                output
                    .expect_text("own few, works, 0 not refused\n")?
                    .expect_status(0)?;
                Ok(())
            },
        );
    }
    tests.add("survival::a_server_ends_by_the_clock", || {
        let options = ["--end", "image_root@0"];
        let output = Run::new().options(&options).run(&["/bin/true"])?;
        let output = output.expect_status(0)?;
        ensure(
            output
                .err
                .contains("image_root is ended as the command line says")
                || output
                    .err
                    .contains("image_root does not run and is not ended"),
            || output.err.clone(),
        )
    });
    for cpus in ["1", "2"] {
        tests.add(
            format!("survival::a_page_that_does_not_come_is_a_signal_{cpus}"),
            move || deaf(cpus),
        );
    }
    tests.add("survival::servers_that_are_not_there_are_refused", || {
        for (option, value, named) in [
            ("--end", "nosuch@5", "nosuch"),
            ("--end", "image_roto@call:5", "image_roto"),
            ("--end", "image_root@memory:5", "memory"),
            ("--end", "linux@5", "linux"),
            ("--deaf", "nosuch", "nosuch"),
        ] {
            let output = Run::new().options(&[option, value]).run(&["/bin/true"])?;
            let output = output.expect_status(125)?;
            for said in [
                format!("{option}: there is no server `{named}` in the image"),
                "servers with a process of their own: ".to_owned(),
                "image_root".to_owned(),
            ] {
                ensure(output.err.contains(&said), || output.err.clone())?;
            }
        }
        Ok(())
    });
    tests.add("survival::an_image_is_asked_for_its_servers", || {
        let image = super::boot::hello()?;
        let words = ["run", "--timeout", "30", "--end", "memory_fs@5"].map(AsRef::as_ref);
        let output = kiln(words.into_iter().chain([image.as_os_str()]))?.expect_status(125)?;
        ensure(
            output.err.contains("name_space, image_root") && !output.text().contains("Hello"),
            || output.err.clone(),
        )
    });
    tests.add("survival::servers_in_the_kernel_are_refused", || {
        let program = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("kept", &program).replacen(
            "image_root = { home = \"own\" }",
            "image_root = { home = \"kernel\" }",
            1,
        );
        let manifest = Written::new("kept", &text)?;
        let words = ["run", "--timeout", "30", "--end", "image_root@5"].map(AsRef::as_ref);
        let output = kiln(words.into_iter().chain([manifest.path.as_os_str()]))?;
        let output = output.expect_status(125)?;
        ensure(
            output.err.contains("in this image it lives in the kernel")
                && output.err.contains("image_root = { home = \"own\" }"),
            || output.err.clone(),
        )
    });
    tests.add("survival::what_cannot_be_ended_is_said", || {
        let output = Run::new()
            .options(&["--end", "image_root"])
            .run(&["/bin/true"])?;
        let output = output.expect_status(125)?;
        ensure(output.err.contains("such as image_root@500"), || {
            output.err.clone()
        })
    });
}
