//! Lets the crate ask which Python it is built for, as `#[cfg(Py_3_14)]`.

use pyo3_build_config::BuildFlag;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    // Whether a task may serve more than one request of a connection: Python 3.14 keeps the running task where only it
    // can put one, and without the lock of the interpreter others may look at a task while it is compared.
    println!("cargo:rustc-check-cfg=cfg(reused_tasks)");
    let python = pyo3_build_config::get();
    if python.version().minor < 14 && !python.build_flags().0.contains(&BuildFlag::Py_GIL_DISABLED) {
        println!("cargo:rustc-cfg=reused_tasks");
    }
}
