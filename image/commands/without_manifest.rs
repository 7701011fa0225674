//! The manifest that a command line equals, and what options change of one.

use std::path::{Path, PathBuf};

use kiln_erofs::write::Tree;

use crate::command_line::Run;
use crate::components::{Driver, Home, Personality, needed_servers};
use crate::manifest::{
    Console, DEFAULT_PATH, FileSource, Located, MAXIMUM_CPUS, Machine, Manifest, Owner, Program,
    Root, RootSource, Source, default_binary_place, memory_size, plain_guest_path,
};
use crate::{Error, root, search_path};

/// The manifest of a command line without one. The program's path is what was typed, until
/// [`find_program`] has looked for it.
pub fn from_words(asked: &Run) -> Result<Manifest, Error> {
    let Some((typed, args)) = asked.words.split_first() else {
        return Err(Error::usage(
            "there is nothing to run",
            "give a manifest, or a program after two dashes: kiln run -- /bin/ls",
        ));
    };
    let mut from = Vec::new();
    let mut path = typed.clone();
    if asked.deb.is_empty() && asked.dir.is_empty() && !is_given_file(asked, typed) {
        let host = search_path::find_program(Path::new(typed)).ok_or_else(|| {
            if typed.contains('/') && Path::new(typed).is_file() {
                Error::usage(
                    format!("`{typed}` is not executable"),
                    format!("chmod +x {typed}, or name the program that reads it"),
                )
            } else {
                Error::usage(
                    format!("there is no program `{typed}` on this host"),
                    "name one by its path, or give a root file system with --deb or --dir",
                )
            }
        })?;
        path = default_binary_place(&host).ok_or_else(|| {
            Error::usage(
                format!("`{typed}` has a name that no manifest can hold"),
                "rename it",
            )
        })?;
        from.push(Located::nowhere(RootSource::Binary {
            path: Located::nowhere(host),
            to: path.clone(),
        }));
    }
    let name: String = typed
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(64)
        .collect();
    let name = name
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned();
    let personality = Personality::usual();
    let servers = needed_servers(personality, true);
    let mut env = vec![
        ("PATH".to_owned(), DEFAULT_PATH.to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
    ];
    if let Ok(terminal) = std::env::var("TERM")
        && std::io::IsTerminal::is_terminal(&std::io::stdout())
    {
        env.push(("TERM".to_owned(), terminal));
    }
    Ok(Manifest {
        source: Source::new("command line", ""),
        directory: PathBuf::new(),
        name: if name.is_empty() {
            "program".to_owned()
        } else {
            name
        },
        personality,
        drivers: vec![Driver::Serial, Driver::DebugConsole],
        program: Program {
            path: Located::nowhere(path),
            called: Some(typed.clone()),
            args: args.to_vec(),
            env,
            directory: "/".to_owned(),
        },
        root: Root {
            from,
            writable: true,
        },
        servers: servers
            .into_iter()
            .map(|server| (server, Home::Own))
            .collect(),
        policies: std::collections::BTreeMap::new(),
        placements: Vec::new(),
        domains: Vec::new(),
        machine: Machine::default(),
        console: Console::default(),
    })
}

/// Whether the program is one of the files given with --file.
fn is_given_file(asked: &Run, typed: &str) -> bool {
    asked.file.iter().any(|pair| {
        pair.rsplit_once(':')
            .is_some_and(|(_, guest)| guest == typed)
    })
}

/// Changes the manifest as the options ask.
pub fn apply(asked: &Run, manifest: &mut Manifest) -> Result<(), Error> {
    let from = &mut manifest.root.from;
    // Host paths of options are relative to where we are, not to the manifest.
    let here = std::env::current_dir()
        .map_err(|error| Error::io("cannot find the current directory", Path::new("."), error))?;
    let host = |path: &str| {
        let path = PathBuf::from(path);
        Located::nowhere(if manifest.directory.as_os_str().is_empty() {
            path
        } else {
            here.join(path)
        })
    };
    if !asked.deb.is_empty() {
        if let Some(wrong) = asked
            .deb
            .iter()
            .find(|name| !crate::debian::is_package_name(name))
        {
            return Err(Error::usage(
                format!("--deb cannot be `{wrong}`"),
                "give a package name as apt takes it, such as python3",
            ));
        }
        from.push(Located::nowhere(RootSource::Packages {
            names: asked.deb.iter().cloned().map(Located::nowhere).collect(),
            essential: false,
            documentation: false,
        }));
    }
    for pair in &asked.dir {
        let (path, to) = split_pair("--dir", pair)?;
        from.push(Located::nowhere(RootSource::Directory {
            path: host(path),
            to,
            owner: Owner::Keep,
        }));
    }
    let only_program = asked.manifest.is_none() && asked.deb.is_empty() && asked.dir.is_empty();
    let mut files = Vec::new();
    for pair in &asked.file {
        let (path, to) = split_pair("--file", pair)?;
        if only_program && asked.words.first() == Some(&to) {
            // The program itself, and nothing else to take its libraries from.
            from.push(Located::nowhere(RootSource::Binary {
                path: host(path),
                to,
            }));
            continue;
        }
        files.push(FileSource {
            from: host(path),
            to,
            mode: None,
        });
    }
    if !files.is_empty() {
        from.push(Located::nowhere(RootSource::Files(files)));
    }
    for pair in &asked.env {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::usage(
                format!("--env cannot be `{pair}`"),
                "write NAME=VALUE",
            ));
        };
        let env = &mut manifest.program.env;
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
    apply_machine(asked, &mut manifest.machine)?;
    // Without it nobody would learn how the program ended.
    if !manifest.drivers.contains(&Driver::DebugConsole) {
        manifest.drivers.push(Driver::DebugConsole);
        manifest.drivers.sort();
    }
    if asked.manifest.is_some() {
        manifest.program.args.extend(asked.words.iter().cloned());
    }
    Ok(())
}

/// Changes the machine as the options ask.
pub fn apply_machine(asked: &Run, machine: &mut Machine) -> Result<(), Error> {
    if let Some(size) = &asked.mem {
        machine.memory = memory_size(size)
            .map_err(|remedy| Error::usage(format!("--mem cannot be {size}"), remedy))?;
    }
    if let Some(cpus) = asked.cpus {
        if cpus == 0 || cpus > MAXIMUM_CPUS {
            return Err(Error::usage(
                format!("--cpus cannot be {cpus}"),
                format!("give a number from 1 to {MAXIMUM_CPUS}"),
            ));
        }
        machine.cpus = cpus;
    }
    if let Some(model) = asked.machine {
        machine.model = model;
    }
    Ok(())
}

fn split_pair<'a>(option: &str, pair: &'a str) -> Result<(&'a str, String), Error> {
    let wrong = |remedy: String| Error::usage(format!("{option} cannot be `{pair}`"), remedy);
    let (host, guest) = pair
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| wrong("write HOST:GUEST, such as ./data:/data".to_owned()))?;
    Ok((host, plain_guest_path(guest).map_err(wrong)?))
}

/// Finds the program that was typed in the root file system.
pub fn find_program(manifest: &mut Manifest, tree: &Tree) -> Result<(), Error> {
    let typed = manifest.program.path.value.clone();
    let path = if typed.contains('/') {
        plain_guest_path(&typed)
            .map_err(|remedy| Error::usage(format!("`{typed}` is no path in the image"), remedy))?
    } else {
        let path = manifest.program.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, value)| value);
        root::find_in_path(tree, &typed, path).ok_or_else(|| {
            Error::usage(
                format!("the root file system has no program `{typed}` in {path}"),
                "check the name, or add a package that has it with --deb",
            )
        })?
    };
    manifest.program.path = Located::nowhere(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command_line::{Command, CommandLine};
    use crate::manifest::to_toml;

    fn manifest(words: &[&str]) -> Result<Manifest, Error> {
        let words = ["kiln", "run"].iter().chain(words);
        let Command::Run(run) = CommandLine::try_parse_from(words).unwrap().command else {
            panic!("not a run");
        };
        let mut manifest = from_words(&run)?;
        apply(&run, &mut manifest)?;
        Ok(manifest)
    }

    #[test]
    fn a_host_program_is_taken_along() {
        let manifest = manifest(&["--mem", "32M", "--", "ls", "-l"]).unwrap();
        let [source] = manifest.root.from.as_slice() else {
            panic!("{:?}", manifest.root.from);
        };
        assert!(matches!(&source.value, RootSource::Binary { to, .. } if to.ends_with("/bin/ls")));
        assert_eq!(manifest.program.called.as_deref(), Some("ls"));
        assert_eq!(manifest.program.args, ["-l"]);
        assert_eq!(manifest.machine.memory, 32 << 20);
    }

    #[test]
    fn a_file_that_is_the_program_brings_its_libraries() {
        let manifest = manifest(&["--file", "/bin/ls:/x/ls", "--", "/x/ls"]).unwrap();
        assert_eq!(manifest.root.from.len(), 1);
        let source = &manifest.root.from[0].value;
        assert!(matches!(source, RootSource::Binary { to, .. } if to == "/x/ls"));
    }

    #[test]
    fn what_is_saved_is_read_back_as_the_same() {
        let words = [
            "--deb",
            "lua5.4",
            "--dir",
            "a b:/srv",
            "--file",
            "f:/f",
            "--env",
            "A=\"b\\\n",
            "--",
            "lua",
            "-e",
            "print('x')",
        ];
        let manifest = manifest(&words).unwrap();
        let mut found = manifest.clone();
        found.program.path = Located::nowhere("/usr/bin/lua".to_owned());
        let text = to_toml(&found);
        let read = Manifest::parse(Source::new("s.toml", text.clone()), PathBuf::new()).unwrap();
        assert_eq!(to_toml(&read), text);
        assert_eq!(read.program.args, found.program.args);
        assert_eq!(read.root.from.len(), 3);
    }

    #[test]
    fn wrong_options_say_what_to_write() {
        for (words, help) in [
            (&["--"][..], "kiln run -- /bin/ls"),
            (&["--mem", "1K", "--", "ls"], "from 2M"),
            (&["--cpus", "9", "--", "ls"], "from 1 to 8"),
            (&["--file", "x", "--", "ls"], "HOST:GUEST"),
            (
                &["--dir", "x:rel", "--", "ls"],
                "absolute path, such as `/rel`",
            ),
            (&["--env", "=x", "--", "ls"], "NAME=VALUE"),
            (&["--deb", "-o", "--", "ls"], "such as python3"),
            (&["--", "no-such-program-anywhere"], "--deb or --dir"),
        ] {
            let Ok(words) = std::panic::catch_unwind(|| manifest(words)) else {
                continue;
            };
            let error = words.unwrap_err().to_string();
            assert!(error.contains(help), "{error}");
        }
    }
}
