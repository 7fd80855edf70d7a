//! How the emulated hardware is put together.

use std::path::Path;

use super::install::Medium;
use super::parts::FIRMWARE;

/// The flash that holds the firmware's variables, in a machine's folder.
pub(super) const VARIABLES: &str = "variables";
/// Where swtpm listens for QEMU.
pub(super) const TPM_SOCKET: &str = "tpm.socket";
/// Where the test listens for QEMU.
pub(super) const CONTROL_SOCKET: &str = "control.socket";

/// One slow processor is enough, and KVM is not everywhere.
const HARDWARE: [&str; 5] = [
    "-machine q35,accel=tcg,smm=on -cpu qemu64,+rdrand -smp 1 -m 512 -display none -no-reboot -nodefaults",
    // The firmware keeps its variables from the kernel: only code in system management mode may write them.
    "-global ICH9-LPC.disable_s3=1 -global driver=cfi.pflash01,property=secure,value=on",
    "-netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -device virtio-serial-pci",
    "-device virtserialport,chardev=control,name=control -device tpm-crb,tpmdev=tpm",
    "-tpmdev emulator,id=tpm,chardev=tpm -serial chardev:console",
];

/// What QEMU is told: the hardware, its files and sockets in the machine's folder, and what it boots.
pub(super) fn qemu_arguments(folder: &Path, console: &Path, medium: &Medium) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> = HARDWARE.iter().flat_map(|line| line.split(' ').map(str::to_owned)).collect();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}"));
    add("-drive", format!("if=pflash,format=raw,unit=1,file={}", path(VARIABLES)));
    add("-chardev", format!("socket,id=tpm,path={}", path(TPM_SOCKET)));
    add("-chardev", format!("socket,id=control,path={}", path(CONTROL_SOCKET)));
    add("-chardev", format!("file,id=console,path={}", console.display()));
    match medium {
        Medium::Direct { kernel, initrd, command_line } => {
            add("-kernel", kernel.display().to_string());
            add("-initrd", initrd.display().to_string());
            add("-append", command_line.clone());
        }
        Medium::Disk(disk) => add("-drive", format!("if=virtio,format=raw,file={}", disk.display())),
    }
    arguments
}

/// What swtpm is told. It leaves the start-up of the TPM to the firmware, and ends when QEMU does.
pub(super) fn tpm_arguments(folder: &Path) -> Vec<String> {
    let state = format!("dir={}", folder.join("tpm").display());
    let control = format!("type=unixio,path={}", folder.join(TPM_SOCKET).display());
    ["socket", "--tpm2", "--terminate", "--tpmstate", &state, "--ctrl", &control].map(str::to_owned).into()
}
