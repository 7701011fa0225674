//! What manifests say, and what is said about wrong ones, to the letter.

use proptest::prelude::*;

use super::*;
use crate::damage::damaged_text;

const GOOD: &str = r#"name = "hello"
personality = "linux"
drivers = ["debug_console", "serial"]

[program]
path = "/usr//bin/./python3"
args = ["-c", "print(1)"]
directory = "/srv/"

[program.env]
Z = "1"
A = "2"

[root]
from = [
    { packages = ["python3"], essential = true },
    { directory = "site", to = "/srv", owner = "root" },
    { binary = "target/tool" },
    { binary = "/usr/bin/env" },
    { files = [{ from = "x", to = "/y", mode = "4755" }] },
]
writable = false

[machine]
memory = "64M"
cpus = 4
model = "q35"

[console]
size = "132x43"
"#;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Source::new("m.toml", text), PathBuf::from("dir"))
}

/// The one complaint about `text`.
fn complaint(text: &str) -> String {
    let error = parse(text).unwrap_err();
    assert_eq!(error.0.len(), 1, "{error}");
    error.to_string()
}

/// The complaint about `GOOD` with one line exchanged.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    complaint(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_manifest_describes_the_machine() {
    let manifest = parse(GOOD).unwrap();
    assert_eq!(manifest.drivers, [Driver::Serial, Driver::DebugConsole]);
    assert_eq!(manifest.program.path.value, "/usr/bin/python3");
    assert_eq!(manifest.program.directory, "/srv");
    let names: Vec<_> = manifest
        .program
        .env
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["Z", "A", "PATH", "HOME"]);
    assert_eq!(manifest.machine.memory, 64 << 20);
    assert_eq!(manifest.machine.model, MachineModel::Q35);
    assert_eq!(manifest.console.size, (132, 43));
    assert_eq!(manifest.host_path(Path::new("x")), Path::new("dir/x"));
    // Nothing is written, so nothing keeps what is written.
    let servers: Vec<_> = manifest
        .servers
        .iter()
        .map(|(server, _)| server.name)
        .collect();
    assert_eq!(servers, ["name_space", "image_root"]);
    let places: Vec<&str> = manifest
        .root
        .from
        .iter()
        .filter_map(|source| match &source.value {
            RootSource::Binary { to, .. } => Some(to.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(places, ["/bin/tool", "/usr/bin/env"]);
}

#[test]
fn a_manifest_is_written_so_that_it_reads_the_same() {
    let text = to_toml(&parse(GOOD).unwrap());
    assert_eq!(to_toml(&parse(&text).unwrap()), text);
}

#[test]
fn an_unknown_field_names_the_near_ones() {
    assert_eq!(
        changed("memory = \"64M\"", "memmory = \"64M\""),
        "unknown field `memmory` in [machine]\n  --> m.toml:25:1\n   |\n25 | memmory = \"64M\"\n   | ^^^^^^^\n   = help: did you mean `memory`? known fields: memory, cpus, model"
    );
}

#[test]
fn an_unknown_component_names_the_near_ones() {
    assert_eq!(
        changed("\"debug_console\"", "\"virtio-rgn\""),
        "unknown driver `virtio-rgn`\n --> m.toml:3:12\n  |\n3 | drivers = [\"virtio-rgn\", \"serial\"]\n  |            ^^^^^^^^^^^^\n  = help: did you mean `virtio_rng`? known: serial, debug_console, virtio_rng"
    );
    let servers = "[servers]\nname_spaec = {}\nname_space = {}\nimage_root = {}\n[machine]";
    let text = changed("[machine]", servers);
    assert!(
        text.contains("unknown server `name_spaec`") && text.contains("did you mean `name_space`?"),
        "{text}"
    );
}

#[test]
fn wrong_types_and_values_are_told_apart() {
    for (from, to, place, words, help) in [
        (
            "cpus = 4",
            "cpus = \"4\"",
            ":26:8",
            "must be a whole number, not a string",
            "write a whole",
        ),
        (
            "cpus = 4",
            "cpus = 0",
            ":26:8",
            "out of range: 0",
            "from 1 to 8",
        ),
        (
            "cpus = 4",
            "cpus = -1",
            ":26:8",
            "out of range: -1",
            "from 1 to 8",
        ),
        ("\"64M\"", "\"64Q\"", ":25:10", "cannot be 64Q", "64M or 1G"),
        ("\"64M\"", "1", ":25:10", "cannot be 1", "from 2M"),
        (
            "args = [\"-c\", \"print(1)\"]",
            "args = \"x\"",
            ":7:8",
            "must be an array",
            "in [ ]",
        ),
        (
            "\"print(1)\"",
            "5",
            ":7:15",
            "`args[1]` must be a string",
            "in quotes",
        ),
        (
            "name = \"hello\"",
            "name = \"-x\"",
            ":1:8",
            "cannot name an image",
            "letters",
        ),
        (
            "\"linux\"",
            "\"linus\"",
            ":2:15",
            "unknown personality `linus`",
            "did you mean `linux`",
        ),
        (
            "\"/srv/\"",
            "\"srv\"",
            ":8:13",
            "no path in the image",
            "absolute path, such as `/srv`",
        ),
        (
            "\"/srv/\"",
            "\"/a/../b\"",
            ":8:13",
            "no path in the image",
            "without `..`",
        ),
        (
            "owner = \"root\"",
            "owner = \"me\"",
            ":17:48",
            "unknown owner `me`",
            "keep, root",
        ),
        (
            "mode = \"4755\"",
            "mode = \"999\"",
            ":20:48",
            "no file mode",
            "octal",
        ),
        (
            "\"python3\"",
            "\"Python 3\"",
            ":16:19",
            "no package name",
            "as apt takes",
        ),
        (
            "binary = \"target/tool\"",
            "binray = \"x\"",
            ":18:5",
            "unknown kind of source: `binray`",
            "did you mean `binary`",
        ),
        (
            "binary = \"target/tool\"",
            "binary = \"x\", files = []",
            ":18:5",
            "names both",
            "two sources",
        ),
        (
            "writable = false",
            "writable = 1",
            ":22:12",
            "must be true or false",
            "true or false",
        ),
        (
            "\"132x43\"",
            "\"wide\"",
            ":30:8",
            "no terminal size",
            "80x24",
        ),
        (
            "Z = \"1\"",
            "\"Z=\" = \"1\"",
            ":11:8",
            "cannot name an environment variable",
            "no `=`",
        ),
        (
            "[machine]",
            "[servers]\nname_space = {}\nimage_root = { home = \"kernal\" }\n[machine]",
            ":26:23",
            "unknown home `kernal`",
            "shared:NAME",
        ),
        (
            "[machine]",
            "[servers]\nname_space = {}\nimage_root = { home = \"shared:x y\" }\n[machine]",
            ":26:23",
            "`x y` cannot name a shared home",
            "lower-case letters",
        ),
        (
            "[machine]",
            "[servers]\nname_space = {}\nimage_root = { home = \"shared:linux\" }\n[machine]",
            ":26:23",
            "`linux` cannot name a shared home",
            "a component has this name",
        ),
        (
            "[machine]",
            "[servers]\nname_space = { restart = \"maybe\" }\nimage_root = {}\n[machine]",
            ":25:26",
            "unknown restart policy",
            "always, never",
        ),
        (
            "[machine]",
            "[servers]\nname_space = { restart-limit = \"3\" }\nimage_root = {}\n[machine]",
            ":25:32",
            "no limit for restarts",
            "3/10s",
        ),
        (
            "[machine]",
            "[servers]\nname_space = { restart-limit = \"17/1s\" }\nimage_root = {}\n[machine]",
            ":25:32",
            "17 restarts cannot be",
            "1 to 16",
        ),
        (
            "[machine]",
            "[servers]\nname_space = { call-limit = \"2 h\" }\nimage_root = {}\n[machine]",
            ":25:29",
            "no time",
            "\"2s\"",
        ),
        (
            "[machine]",
            "[servers]\nname_space = {}\n[machine]",
            ":24:1",
            "leaves out `image_root`",
            "image_root = { home",
        ),
    ] {
        let text = changed(from, to);
        assert!(
            text.contains(&format!("m.toml{place}\n")),
            "{place} in {text}"
        );
        assert!(
            text.contains(words) && text.contains(help),
            "{words}, {help} in {text}"
        );
    }
}

#[test]
fn servers_get_their_homes() {
    let homes = "[servers]\nname_space = { home = \"kernel\" }\nimage_root = { home = \"shared:files\" }\nmemory_fs = {}\n[machine]";
    let manifest = parse(&GOOD.replace("[machine]", homes)).unwrap();
    let found: Vec<_> = manifest
        .servers
        .iter()
        .map(|(server, home)| (server.name, home.name()))
        .collect();
    let expected = [
        ("name_space", "kernel".to_owned()),
        ("image_root", "shared:files".to_owned()),
        ("memory_fs", "own".to_owned()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_server_in_the_kernel_has_nothing_of_a_process() {
    let homes =
        "[servers]\nname_space = { home = \"kernel\", cpu = 0 }\nimage_root = {}\n[machine]";
    let told = parse(&GOOD.replace("[machine]", homes))
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("`cpu` means nothing for a server in the kernel"),
        "{told}"
    );
}

#[test]
fn a_server_in_the_kernel_calls_none_outside() {
    let homes =
        "[servers]\nname_space = {}\nimage_root = {}\nmemory_fs = { home = \"kernel\" }\n[machine]";
    let text = GOOD.replace("writable = false", "writable = true");
    let text = text.replace("[machine]", homes);
    let told = parse(&text).unwrap_err().to_string();
    assert!(
        told.contains(
            "`memory_fs` cannot live in the kernel: it calls `image_root`, which lives outside"
        ),
        "{told}"
    );
    assert!(
        told.contains("give `image_root` the home \"kernel\" too"),
        "{told}"
    );
}

#[test]
fn a_server_that_has_threads_does_not_live_in_the_kernel() {
    let homes =
        "[servers]\nname_space = {}\nimage_root = {}\nload = { home = \"kernel\" }\n[machine]";
    let told = parse(&GOOD.replace("[machine]", homes))
        .unwrap_err()
        .to_string();
    for part in [
        "`load` cannot live in the kernel: it has a thread of its own, and waits in its calls",
        "give it the home \"own\", or \"shared:NAME\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let error = parse("[program]\nargs = 1\n[rot]\n").unwrap_err();
    let messages: Vec<&str> = error.0.iter().map(Complaint::message).collect();
    assert_eq!(
        messages,
        [
            "the manifest has no field `name`",
            "[program] has no field `path`",
            "`args` must be an array in [ ], not a whole number",
            "the manifest has no field `root`",
            "unknown field `rot` in the manifest",
        ]
    );
}

#[test]
fn what_is_no_toml_is_shown_where_it_breaks() {
    let text = complaint("name = \"x\"\n[program\npath = 1\n");
    assert!(text.starts_with("this is not TOML: "), "{text}");
    assert!(text.contains("--> m.toml:2:9"), "{text}");
    let text = complaint("[servers]\nmemory_fs = {}\nmemory_fs = {}\n");
    assert!(text.contains("--> m.toml:3:1"), "{text}");
    assert!(text.contains("= help: say it once"), "{text}");
}

#[test]
fn what_happens_when_a_server_fails_is_said_for_each() {
    let servers = "[servers]
name_space = { restart = \"never\", call-limit = \"250ms\", answer-limit = \"none\", start-limit = \"1min\" }
image_root = { restart-limit = \"5/1min\" }
[machine]";
    let manifest = parse(&GOOD.replacen("[machine]", servers, 1)).unwrap();
    let brittle = Policy {
        restart: None,
        call_limit_ms: Some(250),
        answer_limit_ms: None,
        start_limit_ms: Some(60_000),
    };
    assert_eq!(manifest.policy("name_space"), brittle);
    let limit = RestartLimit {
        count: 5,
        window_ms: 60_000,
    };
    let policy = manifest.policy("image_root");
    assert_eq!(policy.restart, Some(limit));
    let text = to_toml(&manifest);
    let again = parse(&text).unwrap();
    assert_eq!(again.policies, manifest.policies);
    assert_eq!(parse(GOOD).unwrap().policy("image_root"), Policy::default());
}

#[test]
fn servers_that_share_a_home_fail_by_the_stricter_policy() {
    let servers = "[servers]
name_space = { home = \"shared:files\", restart-limit = \"5/1s\", call-limit = \"3s\", answer-limit = \"none\" }
image_root = { home = \"shared:files\", restart-limit = \"2/500ms\", call-limit = \"4s\", answer-limit = \"2s\" }
[machine]";
    let manifest = parse(&GOOD.replacen("[machine]", servers, 1)).unwrap();
    let homes = homes::homes(&manifest.servers, false);
    let policy = manifest.home_policy(&homes[0]);
    let limit = RestartLimit {
        count: 2,
        window_ms: 1000,
    };
    assert_eq!(policy.restart, Some(limit));
    assert_eq!(policy.call_limit_ms, Some(3000));
    assert_eq!(policy.answer_limit_ms, Some(2000));
    let never = Policy {
        restart: None,
        ..policy
    };
    assert_eq!(policy.and(never).restart, None);
}

#[test]
fn processes_are_placed_on_processors_and_in_domains() {
    let servers = "[servers]
name_space = { cpu = 1, pinned = true }
image_root = { domain = \"files\" }
[domains.files]
class = \"background\"
limit = 40
[machine]";
    let text = GOOD.replacen("[machine]", servers, 1);
    let manifest = parse(&format!("{text}\n").replacen("cpus = 1", "cpus = 2", 1));
    let manifest = manifest.unwrap();
    let placed = |manifest: &Manifest| {
        let placements = manifest.placements.iter();
        placements
            .map(|one| {
                let domain = one.domain.as_ref().map(|name| name.value.clone());
                (one.server, one.cpu, one.pinned, domain)
            })
            .collect::<Vec<_>>()
    };
    let mut found = placed(&manifest);
    found.sort();
    assert_eq!(
        found,
        [
            (Some("image_root"), 0, false, Some("files".to_owned())),
            (Some("name_space"), 1, true, None),
        ]
    );
    let files = &manifest.domains[0];
    assert_eq!(
        (files.class, files.share, files.limit),
        ("background", 100, 40)
    );
    let again = parse(&to_toml(&manifest)).unwrap();
    let mut read = placed(&again);
    read.sort();
    assert_eq!(read, found);
    assert_eq!(again.domains, manifest.domains);

    let unknown = complaint(&text.replacen("\"files\"", "\"filse\"", 1).replacen(
        "cpu = 1, ",
        "",
        1,
    ));
    assert!(unknown.contains("unknown domain `filse`"), "{unknown}");
    assert!(unknown.contains("files"), "{unknown}");
    let beyond = complaint(&text.replacen("cpu = 1", "cpu = 7", 1));
    assert!(
        beyond.contains("`name_space` is to start on CPU 7"),
        "{beyond}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_manifest_is_read_or_complained_about(
        text in damaged_text(GOOD, &["[", "]", "{", "}", "=", "\"", "\n[root]\n", "= 1\n", "\u{fffd}", "-1", "inf"]),
    ) {
        match parse(&text) {
            Ok(manifest) => {
                let again = parse(&to_toml(&manifest)).expect("what is written can be read");
                prop_assert_eq!(to_toml(&again), to_toml(&manifest));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
