//! Boots the kernel in QEMU with its self-tests in place of processes.
//!
//! What only a running machine can show: entry by every protocol, exceptions, timers, interrupts,
//! other processors, and the ways to switch off.

mod support;

use support::{Boot, firmware, iso};

#[test]
fn the_exit_status_reaches_the_host() {
    let ended = Boot::new("microvm").test("exit").run();
    ended.assert_log("kiln:exit:42\n");
    assert_eq!(ended.status, 42 * 2 + 1);
    assert_eq!(ended.serial, "", "the kernel's lines stay off the console");
}

#[test]
fn machines_are_switched_off_without_an_exit_device() {
    for machine in ["microvm", "pc", "q35", "microvm,acpi=off"] {
        let ended = Boot::new(machine).without_exit_device().test("exit").run();
        ended.assert_log("kiln:exit:42\n");
        assert_eq!(ended.status, 0, "{machine}");
    }
}

#[test]
fn a_panic_names_its_callers() {
    let ended = Boot::new("microvm").test("panic").run();
    ended.assert_log("kiln:error:panic: as asked at core/kernel/src/self_test.rs:");
    ended.assert_log(" kiln_kernel::self_test::run+0x");
    ended.assert_log("kiln:exit:panic\n");
    assert_eq!(ended.status, 255);
}

#[test]
fn a_panic_stops_the_other_processors() {
    let ended = Boot::new("microvm")
        .processors(4)
        .test("panic-others")
        .run();
    ended.assert_log("kiln:error:panic: with others running");
    assert_eq!(ended.status, 255);
}

#[test]
fn faults_of_the_kernel_are_told_with_their_cause() {
    for (test, cause) in [
        ("null", "panic: page fault (exception 14, error 0x0)"),
        ("write-text", "panic: page fault (exception 14, error 0x3)"),
        ("stack", "panic: double fault (exception 8"),
        ("stack", "  the kernel stack's 32768 bytes are used up"),
        ("stack-home", "  in a server that lives in the kernel"),
    ] {
        let ended = Boot::new("microvm").test(test).run();
        ended.assert_log(cause);
        ended.assert_log("kiln:error:  rip ffffffff80");
        assert_eq!(ended.status, 255, "{test}");
    }
}

#[test]
fn timers_fire_after_their_deadline_on_old_and_new_processors() {
    for processor in ["max", "qemu64"] {
        for machine in ["microvm", "q35"] {
            Boot::new(machine)
                .processor(processor)
                .test("timer")
                .run()
                .assert_good();
        }
    }
}

#[test]
fn all_processors_start() {
    for (machine, count) in [
        ("microvm", 1),
        ("microvm", 8),
        ("pc", 2),
        ("q35", 4),
        ("microvm,acpi=off", 3),
    ] {
        let ended = Boot::new(machine)
            .processors(count)
            .test("processors")
            .run();
        ended.assert_log(&format!("{count} of {count} processors"));
        ended.assert_good();
    }
}

#[test]
fn the_console_works_in_both_directions() {
    for machine in ["microvm", "q35", "microvm,acpi=off"] {
        let ended = Boot::new(machine)
            .input("all of this line\n")
            .test("console")
            .run();
        assert_eq!(ended.serial, "ALL OF THIS LINE\n", "{machine}");
        ended.assert_good();
    }
}

#[test]
fn messages_go_to_the_console_where_there_is_nothing_better() {
    let ended = Boot::new("microvm")
        .drivers(&["KILN_DRIVER_SERIAL"])
        .test("exit")
        .run();
    assert_eq!(ended.log, "");
    assert!(ended.serial.contains("kiln:exit:42\n"), "{}", ended.serial);
}

#[test]
fn a_kernel_without_drivers_still_runs() {
    let ended = Boot::new("microvm").drivers(&[]).test("exit").run();
    assert_eq!((ended.log.as_str(), ended.serial.as_str()), ("", ""));
    assert_eq!(ended.status, 85);
}

#[test]
fn little_memory_is_enough() {
    Boot::new("microvm")
        .mebibytes(4)
        .test("timer")
        .run()
        .assert_good();
}

#[test]
fn multiboot1_enters() {
    Boot::new("pc")
        .without_pvh_note()
        .test("timer")
        .run()
        .assert_good();
}

#[test]
fn grub_enters_on_bios_and_on_uefi() {
    let media = iso("processors");
    Boot::new("pc")
        .processors(2)
        .media(&media)
        .run()
        .assert_good();
    let boot = Boot::new("q35").processors(2).mebibytes(256).media(&media);
    boot.firmware(&firmware()).run().assert_good();
}
