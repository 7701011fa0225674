//! What an image can be composed of: the one place where a server or a personality is listed.
//!
//! `build.rs` compiles what is listed here, and the tool offers it to manifests. A component that is
//! not named by the manifest, nor needed by the personality that is, does not get into the image.

use kiln_object::Rights;

/// A server: a library with an object interface, given a home by the manifest.
#[derive(Debug)]
pub struct Server {
    /// Its name in manifests, images, and its own `server!`.
    pub name: &'static str,
    /// Its package.
    pub package: &'static str,
    /// Where the package lies in the source tree.
    pub folder: &'static str,
    /// What it is there for, as the end of a sentence.
    pub purpose: &'static str,
    /// When an image cannot do without it.
    pub needed: Needed,
    /// What the program's process may do with it.
    pub granted: Rights,
    /// The servers that it may bind to.
    pub uses: &'static [Use],
    /// What it does that cannot be done in the kernel (threads, waiting), as the end of a sentence.
    pub outside: Option<&'static str>,
}

/// When a server has to be in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// With every personality that needs servers.
    Always,
    /// With those, if the root can be written.
    ForWritableRoot,
    /// Where the manifest names it.
    WhenNamed,
}

/// A server's use of another one.
#[derive(Debug)]
pub struct Use {
    /// The other one.
    pub server: &'static str,
    /// What it may do there.
    pub rights: Rights,
    /// Whether it calls it, or only tells others of it.
    pub calls: Calls,
}

/// When a server calls another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Never.
    Never,
    /// In every image with both.
    Always,
    /// If the root can be written.
    IfWritableRoot,
}

/// What stands in front of the kernel and the servers.
#[derive(Debug)]
pub struct Personality {
    /// Its name in manifests and images.
    pub name: &'static str,
    /// Its package.
    pub package: &'static str,
    /// Where the package lies in the source tree.
    pub folder: &'static str,
    /// Whether the manifest's program is started.
    pub runs_a_program: bool,
    /// Whether it needs the servers that are [`Needed::Always`].
    pub needs_servers: bool,
    /// The servers that the component is besides.
    pub copies: &'static [Copy],
}

/// A component of tests as a server, which misbehaves.
#[derive(Debug)]
pub struct Copy {
    /// Its name in images.
    pub name: &'static str,
    /// How many of them there are.
    pub count: usize,
    /// How often it is started again: so many times within so many milliseconds.
    pub restart: Option<(u32, u64)>,
    /// How much processor time a call to it may take, in milliseconds.
    pub call_limit: Option<u64>,
    /// How long it may wait in a call, in milliseconds of real time.
    pub answer_limit: Option<u64>,
    /// Within how many milliseconds of real time it is ready.
    pub start_limit: Option<u64>,
    /// What the program's process may do with it; nothing if none.
    pub granted: Option<Rights>,
    /// The only processor that it runs on, if there is one.
    pub pinned_to: Option<u32>,
    /// Other copies that it may read and write, and servers with which it may do what the program may.
    pub uses: &'static [&'static str],
}

/// A server for tests of failures.
const fn faulty(name: &'static str, restart: Option<(u32, u64)>) -> Copy {
    Copy {
        name,
        count: 1,
        restart,
        call_limit: Some(300),
        answer_limit: Some(400),
        start_limit: Some(2000),
        granted: Some(FILES),
        pinned_to: None,
        uses: &[],
    }
}

/// A further process that attacks.
const fn attacker(name: &'static str) -> Copy {
    Copy {
        name,
        count: 1,
        restart: None,
        call_limit: None,
        answer_limit: None,
        start_limit: None,
        granted: None,
        pinned_to: None,
        uses: &["name_space", "image_root", "memory_fs", "attack_victim"],
    }
}

/// A process that makes calls and does not collect the answers.
const fn hoarder(name: &'static str) -> Copy {
    Copy {
        name,
        count: 1,
        restart: WITHOUT_LIMIT,
        call_limit: None,
        answer_limit: None,
        start_limit: None,
        granted: Some(Rights::READ),
        pinned_to: None,
        uses: &["load"],
    }
}

/// One of two servers that call each other, both on the first processor.
const fn circling(name: &'static str, uses: &'static [&'static str]) -> Copy {
    Copy {
        restart: None,
        answer_limit: Some(200),
        pinned_to: Some(0),
        uses,
        ..hoarder(name)
    }
}

/// As good as no limit to restarts.
const WITHOUT_LIMIT: Option<(u32, u64)> = Some((16, 1));

/// What a program may do with a file server: all but ask in the name of others.
const FILES: Rights = Rights::ALL.difference(Rights::DELEGATE);

/// All servers, in the order in which they start where nothing else decides.
pub static SERVERS: &[Server] = &[
    Server {
        name: "name_space",
        package: "kiln-name-space",
        folder: "fs/name_space",
        purpose: "finds which file system serves a path",
        needed: Needed::Always,
        // To mount is for servers.
        granted: Rights::LOOKUP,
        uses: &[
            Use {
                server: "image_root",
                rights: Rights::LOOKUP,
                calls: Calls::Never,
            },
            Use {
                server: "memory_fs",
                rights: Rights::LOOKUP,
                calls: Calls::Never,
            },
        ],
        outside: None,
    },
    Server {
        name: "image_root",
        package: "kiln-image-root",
        folder: "fs/image_root",
        purpose: "serves the files of the image's root",
        needed: Needed::Always,
        granted: FILES,
        uses: &[],
        outside: None,
    },
    Server {
        name: "memory_fs",
        package: "kiln-memory-fs",
        folder: "fs/memory",
        purpose: "keeps files that are written, in memory",
        needed: Needed::ForWritableRoot,
        granted: FILES,
        // It lies over the image's root and opens files there for others.
        uses: &[Use {
            server: "image_root",
            rights: Rights::ALL,
            calls: Calls::IfWritableRoot,
        }],
        outside: None,
    },
    Server {
        name: "counter",
        package: "kiln-example-counter",
        folder: "examples/counter/server",
        purpose: "counts, as the example of a server",
        needed: Needed::WhenNamed,
        granted: Rights::READ.union(Rights::WRITE),
        uses: &[],
        outside: None,
    },
    Server {
        name: "load",
        package: "kiln-load",
        folder: "tests/load/server",
        purpose: "takes time on purpose, for tests",
        needed: Needed::WhenNamed,
        granted: Rights::READ.union(Rights::WRITE),
        uses: &[],
        outside: Some("has a thread of its own, and waits in its calls"),
    },
];

/// All personalities, the usual one first.
pub static PERSONALITIES: &[Personality] = &[
    Personality {
        name: "linux",
        package: "kiln-linux",
        folder: "personalities/linux",
        runs_a_program: true,
        needs_servers: true,
        copies: &[],
    },
    // In place of a program, object calls are measured.
    Personality {
        name: "bench_native",
        package: "kiln-bench-native",
        folder: "bench/native",
        runs_a_program: false,
        needs_servers: true,
        copies: &[Copy {
            name: "bench_server",
            count: 1,
            restart: None,
            call_limit: None,
            answer_limit: None,
            start_limit: None,
            granted: Some(Rights::READ),
            pinned_to: None,
            uses: &[],
        }],
    },
    // In place of a program, the kernel and the servers are attacked.
    Personality {
        name: "hostile",
        package: "kiln-hostile",
        folder: "tests/hostile",
        runs_a_program: false,
        needs_servers: true,
        copies: &[Copy {
            name: "hostile_server",
            count: 12,
            restart: None,
            call_limit: None,
            answer_limit: None,
            start_limit: None,
            granted: None,
            pinned_to: None,
            uses: &[],
        }],
    },
    // In place of a program, several processes attack the kernel and the servers at once.
    Personality {
        name: "attack",
        package: "kiln-hostile",
        folder: "tests/hostile",
        runs_a_program: false,
        needs_servers: true,
        copies: &[
            Copy {
                name: "attack_victim",
                count: 1,
                restart: WITHOUT_LIMIT,
                call_limit: Some(60),
                answer_limit: Some(100),
                start_limit: Some(10_000),
                granted: Some(Rights::READ),
                pinned_to: None,
                uses: &[],
            },
            attacker("attack_second"),
            attacker("attack_third"),
            attacker("attack_fourth"),
        ],
    },
    // In place of a program, servers fail and are looked after.
    Personality {
        name: "faulty",
        package: "kiln-faulty",
        folder: "tests/faulty",
        runs_a_program: false,
        needs_servers: true,
        copies: &[
            Copy {
                uses: &["faulty_server"],
                ..faulty("faulty_second", WITHOUT_LIMIT)
            },
            Copy {
                uses: &["faulty_second"],
                ..faulty("faulty_server", WITHOUT_LIMIT)
            },
            faulty("faulty_limited", Some((2, 3_600_000))),
            faulty("faulty_never", None),
            faulty("faulty_stranger", WITHOUT_LIMIT),
            // It is at work on all processors.
            faulty("faulty_wide", WITHOUT_LIMIT),
            Copy {
                uses: &["image_root"],
                ..faulty("faulty_holder", WITHOUT_LIMIT)
            },
            // Each binds to the other before it is ready.
            Copy {
                start_limit: Some(300),
                uses: &["faulty_right"],
                ..faulty("faulty_left", WITHOUT_LIMIT)
            },
            Copy {
                start_limit: Some(300),
                uses: &["faulty_left"],
                ..faulty("faulty_right", WITHOUT_LIMIT)
            },
            // Started again, these do not get ready.
            Copy {
                start_limit: Some(300),
                ..faulty("faulty_late", Some((3, 3_600_000)))
            },
            Copy {
                start_limit: Some(300),
                ..faulty("faulty_stuck", Some((2, 1)))
            },
        ],
    },
    // In place of a program, what the runtime gives native processes is tested.
    Personality {
        name: "native_test",
        package: "kiln-native-test",
        folder: "tests/native",
        runs_a_program: false,
        needs_servers: false,
        copies: &[Copy {
            name: "native_server",
            count: 1,
            restart: WITHOUT_LIMIT,
            call_limit: None,
            answer_limit: None,
            start_limit: None,
            granted: Some(Rights::READ),
            pinned_to: None,
            uses: &[],
        }],
    },
    // In place of a program, all processors are used at once.
    Personality {
        name: "processors",
        package: "kiln-processors",
        folder: "tests/processors",
        runs_a_program: false,
        needs_servers: true,
        copies: &[
            hoarder("hoarder_one"),
            Copy {
                uses: &["load", "hoarder_one"],
                ..hoarder("hoarder_two")
            },
            // Each calls the other.
            circling("circle_one", &["circle_two"]),
            circling("circle_two", &["circle_one"]),
        ],
    },
    // In place of a program, the example's server is asked.
    Personality {
        name: "counter_client",
        package: "kiln-example-client",
        folder: "examples/counter/client",
        runs_a_program: false,
        needs_servers: false,
        copies: &[],
    },
];
