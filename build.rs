//! Builds the bindings of the FreeRADIUS module: bindgen over our own header, and the magic number of the server.
//!
//! Does nothing unless the feature `module` is on. The bindings need libclang and no header of FreeRADIUS; the magic number
//! needs the server's version: `FREERADIUS_VERSION`, else the installed `features.h`, else `freeradius -v`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "module")]
    module::build();
}

#[cfg(feature = "module")]
mod module {
    use std::path::PathBuf;
    use std::process::Command;
    use std::{env, fs};

    const HEADER: &str = "freeradius/include/ippool_rs_host.h";
    const FEATURES: [&str; 4] = [
        "/usr/include/freeradius/features.h",
        "/usr/local/include/freeradius/features.h",
        "/usr/include/freeradius-devel/features.h",
        "/usr/local/include/freeradius-devel/features.h",
    ];
    const PROGRAMS: [&str; 6] = [
        "freeradius",
        "radiusd",
        "/usr/sbin/freeradius",
        "/usr/sbin/radiusd",
        "/usr/local/sbin/freeradius",
        "/usr/local/sbin/radiusd",
    ];

    /// Major, minor, patch.
    type Version = (u64, u64, u64);

    pub fn build() {
        println!("cargo:rerun-if-changed={HEADER}");
        println!("cargo:rerun-if-env-changed=FREERADIUS_VERSION");
        for path in FEATURES {
            if PathBuf::from(path).exists() {
                println!("cargo:rerun-if-changed={path}");
            }
        }
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let (major, minor, patch) = version().unwrap_or_else(|why| fail(&why));
        let magic = (0xf << 44) | (bcd(major) << 36) | (bcd(minor) << 28) | (bcd(patch) << 20);
        let text = format!(
            "/// The magic number of FreeRADIUS {major}.{minor}.{patch} (`RADIUSD_MAGIC_NUMBER`, libradius.h).\n\
             pub const MAGIC: u64 = {magic:#x};\n\
             /// The version that this module is built for.\n\
             pub const BUILT_FOR: &str = \"{major}.{minor}.{patch}\";\n"
        );
        fs::write(out.join("magic.rs"), text).expect("OUT_DIR is writable");
        bindgen::Builder::default()
            .header(HEADER)
            .allowlist_file(".*ippool_rs_host\\.h")
            .blocklist_type("__.*|ssize_t|u?int(8|16|32|64)_t")
            .default_enum_style(bindgen::EnumVariation::Consts)
            .generate_comments(false)
            .layout_tests(true)
            .rust_edition(bindgen::RustEdition::Edition2024)
            .generate()
            .unwrap_or_else(|why| {
                fail(&format!(
                    "bindgen could not read {HEADER}: {why}. It needs libclang (Debian: libclang-dev, Fedora: clang-devel)."
                ))
            })
            .write_to_file(out.join("bindings.rs"))
            .expect("OUT_DIR is writable");
        // radiusd looks for rlm_ippool_rs.so. `nodelete`: should a thread of ours ever outlive dlclose(), its code stays.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,rlm_ippool_rs.so");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }

    fn fail(why: &str) -> ! {
        println!("cargo::error={why}");
        std::process::exit(1)
    }

    /// Two decimal digits as two hexadecimal ones: 3.2.10 is 0x030210 (`HEXIFY3`, libradius.h).
    fn bcd(number: u64) -> u64 {
        (number / 10) << 4 | (number % 10)
    }

    fn version() -> Result<Version, String> {
        if let Ok(text) = env::var("FREERADIUS_VERSION") {
            return dotted(&text).ok_or_else(|| {
                format!("FREERADIUS_VERSION={text}: not of the form 3.2.1. Set it to the version of the server that will load the module.")
            });
        }
        installed().or_else(running).ok_or_else(|| {
            "which FreeRADIUS will load the module? A module must be built for exactly one version. Set FREERADIUS_VERSION=3.2.1 (or as \
             `freeradius -v` says there), or install its headers (libfreeradius-dev) or the server itself."
                .to_owned()
        })
        .and_then(|version| match version {
            (3, 0 | 2, _) => Ok(version),
            (major, minor, patch) => {
                Err(format!("FreeRADIUS {major}.{minor}.{patch} is not supported: this module is for 3.2 (and runs in 3.0.20 and later)."))
            }
        })
    }

    /// `#define RADIUSD_VERSION 030201` of the installed features.h.
    fn installed() -> Option<Version> {
        FEATURES.iter().find_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            let mut words = text.lines().find(|line| line.contains("RADIUSD_VERSION "))?.split_whitespace();
            let digits =
                words.find(|word| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some((digits[0..2].parse().ok()?, digits[2..4].parse().ok()?, digits[4..6].parse().ok()?))
        })
    }

    /// `radiusd: FreeRADIUS Version 3.2.1, for host …`.
    fn running() -> Option<Version> {
        PROGRAMS.iter().find_map(|program| {
            let output = Command::new(program).arg("-v").output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            dotted(text.split("Version ").nth(1)?.split([',', ' ', '\n']).next()?)
        })
    }

    fn dotted(text: &str) -> Option<Version> {
        let mut parts =
            text.trim().split('.').map(|part| part.parse::<u64>().ok().filter(|&number| number < 100));
        let version = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}
