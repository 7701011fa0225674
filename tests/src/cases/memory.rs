//! Memory and files: what programs map, protect, write and find again.

use std::path::Path;

use kiln_tests::child::Child;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Run, Written, least_manifest};

use super::c_programs::in_image;
use crate::Tests;

/// The program with a directory of its own below /tmp on both sides.
fn in_a_directory(name: &str, linkage: Linkage, inside: &str, run: &Run) -> Result<(), String> {
    let program = compile::c(name, linkage)?;
    let path = format!("/tmp/kiln-{name}-{}-{}", linkage.name(), std::process::id());
    std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
    let host = Child::new(&program)
        .args([format!("{path}{inside}")])
        .plain_environment()
        .run();
    let _ = std::fs::remove_dir_all(&path);
    // In the image there is only /tmp itself.
    let output = in_image(run, &program, &[&format!("/tmp{inside}")])?;
    let host = host?;
    let renamed = |text: String| text.replace(path.trim_start_matches("/tmp"), "/tmp");
    let text = renamed(host.text());
    output.expect_text(&text)?.expect_status(host.status)?;
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for linkage in [Linkage::Static, Linkage::Dynamic] {
        tests.add(format!("files::written::{}", linkage.name()), move || {
            in_a_directory("files", linkage, "", &Run::new())
        });
        tests.add(format!("memory::mapping::{}", linkage.name()), move || {
            in_a_directory("mapping", linkage, "/written", &Run::new())
        });
    }
    tests.add("files::written::four_processors", || {
        in_a_directory(
            "files",
            Linkage::Static,
            "",
            &Run::new().options(&["--cpus", "4"]),
        )
    });
    tests.add("files::read_only_root", || {
        let program = compile::c("read_only", Linkage::Static)?;
        let manifest = Written::new("read_only", &least_manifest("read_only", &program))?;
        let output = kiln_tests::image::kiln(["run".as_ref(), manifest.path.as_os_str()])?;
        output
            .expect_text("EROFS EROFS EROFS EROFS EROFS\n")?
            .expect_status(0)?;
        Ok(())
    });
    tests.add("memory::within_the_limit", || {
        let program = compile::c("hog", Linkage::Static)?;
        let run = Run::new().options(&["--mem", "64M"]);
        in_image(&run, &program, &["40"])?
            .expect_text("touched 40\n")?
            .expect_status(0)?;
        Ok(())
    });
    tests.add("memory::over_the_limit", || {
        // Either malloc answers null, or the program is killed and the reason is said.
        let program = compile::c("hog", Linkage::Static)?;
        let output = in_image(&Run::new().options(&["--mem", "32M"]), &program, &["100"])?;
        ensure(
            output.status == 3 || output.status == 137 || output.status == 139,
            || format!("status {}: {}{}", output.status, output.text(), output.err),
        )?;
        ensure(
            output.status == 3 || output.err.to_lowercase().contains("memory"),
            || {
                format!(
                    "killed with {}, and the reason was not said: {}",
                    output.status, output.err
                )
            },
        )
    });
    tests.add("memory::too_little_to_start", || {
        let program = compile::c("hello", Linkage::Static)?;
        let output = in_image(
            &Run::new().options(&["--mem", "2M"]).limit(20),
            &program,
            &[],
        )?;
        ensure(output.status == 125, || {
            format!("status {}: {}", output.status, output.err)
        })?;
        ensure(output.err.contains("memory"), || output.err.clone())
    });
    tests.add("memory::from_too_little_to_enough", || {
        // Whatever the size, hello runs or the reason is said; nothing hangs.
        let program = compile::c("hello", Linkage::Static)?;
        let mut enough = false;
        for size in (2560..=6144).step_by(256) {
            let run = Run::new()
                .options(&["--mem", &format!("{size}K")])
                .limit(20);
            let output = in_image(&run, &program, &[])?;
            let ran = output.status == 0 && output.text() == "Hello, world\n";
            let refused = output.status != 0 && output.status != 124 && !output.err.is_empty();
            ensure(ran || refused, || {
                format!(
                    "{size} KiB: status {}: {}{}",
                    output.status,
                    output.text(),
                    output.err
                )
            })?;
            ensure(ran || !enough, || {
                format!("less is enough, but {size} KiB are not: {}", output.err)
            })?;
            enough = ran;
        }
        ensure(enough, || "six megabytes are not enough".to_owned())
    });
    tests.add("files::large_directory_of_the_root", || {
        let tree = kiln_tests::places::made().join("many-names");
        std::fs::create_dir_all(&tree).map_err(|error| error.to_string())?;
        for n in 0..3000 {
            let path = tree.join(format!("name-{n}"));
            if !path.exists() {
                std::fs::write(path, "").map_err(|error| error.to_string())?;
            }
        }
        let words = ["/bin/busybox", "ls", &tree.to_string_lossy()];
        let host = Child::new("/bin/busybox")
            .args(&words[1..])
            .plain_environment()
            .run()?;
        let run = Run::new()
            .package("busybox-static")
            .same_directory(Path::new(&tree));
        run.run(&words)?.expect_same(&host)?;
        Ok(())
    });
}
