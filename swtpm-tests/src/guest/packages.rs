//! A release of Debian packages that a test makes up, for images that are built from packages and for guests that are
//! updated.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian::stdout;

/// A package: its name, and the scripts that it ships, each at an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// What it is called.
    pub name: String,
    /// Path and content of each script.
    pub scripts: Vec<(String, String)>,
}

/// Packages in a folder, all of one version.
#[derive(Clone, Debug)]
pub struct Release {
    folder: PathBuf,
}

impl Release {
    /// Builds the packages in a new folder.
    ///
    /// # Errors
    /// `dpkg-deb` fails, or the folder cannot be written.
    pub fn build(folder: &Path, version: u32, packages: &[Package]) -> Result<Self> {
        std::fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
        let tree = tempfile::tempdir()?;
        for package in packages {
            let tree = tree.path().join(&package.name);
            write_tree(&tree, version, package).with_context(|| format!("writing package {}", package.name))?;
            let archive = folder.join(format!("{}_{version}_all.deb", package.name));
            let mut build = Command::new("dpkg-deb");
            // Small as they are, gzip is quicker than the default.
            stdout(build.args(["--root-owner-group", "-Zgzip", "--build"]).args([&tree, &archive]))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the packages are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All of them in one tar archive.
    ///
    /// # Errors
    /// `tar` fails.
    pub(super) fn archive(&self) -> Result<Vec<u8>> {
        let archive = tempfile::NamedTempFile::new()?;
        stdout(Command::new("tar").arg("-C").arg(&self.folder).arg("-cf").arg(archive.path()).arg("."))?;
        Ok(std::fs::read(archive.path())?)
    }
}

/// Unpacks the packages of an archive as dpkg does: beside the files that are there, which are then replaced at once, so
/// that whoever runs one runs the old or the new.
pub(super) const INSTALL: &str = r#"
set -e
rm -rf /run/packages /unpacked
mkdir /run/packages /unpacked
tar -C /run/packages -xf /run/packages.tar
for package in /run/packages/*.deb; do dpkg-deb -x "$package" /unpacked; done
cd /unpacked
find . -type d | while read -r folder; do
    mkdir -p "/$folder"
    find "$folder" -maxdepth 1 -type f -exec mv -f {} "/$folder" +
done
cd /
rm -rf /run/packages /run/packages.tar /unpacked
"#;

fn write_tree(tree: &Path, version: u32, package: &Package) -> Result<()> {
    let name = &package.name;
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <tests@example.org>\n\
         Description: a package of a test\n"
    );
    std::fs::create_dir_all(tree.join("DEBIAN"))?;
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    for (path, content) in &package.scripts {
        let path = tree.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().context("a script is in a folder")?)?;
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_holds_each_package_with_its_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let script = ("/usr/bin/a".to_owned(), "#!/bin/sh\nexit 0\n".to_owned());
        let packages = ["one", "two"].map(|name| Package { name: name.to_owned(), scripts: vec![script.clone()] });
        let release = Release::build(&folder.path().join("release"), 3, &packages).unwrap();
        let listed = stdout(Command::new("dpkg-deb").arg("-c").arg(release.folder().join("two_3_all.deb"))).unwrap();
        assert!(listed.contains("-rwxr-xr-x root/root") && listed.contains("./usr/bin/a\n"), "{listed}");
        let archive = release.archive().unwrap();
        let name = b"./one_3_all.deb";
        assert!(archive.windows(name.len()).any(|window| window == name));
        assert!(Release::build(release.folder(), 3, &packages).is_err(), "the folder is there already");
    }
}
