// Found only where libtorch's own header is not: see .cargo/config.toml.
#error "libtorch 2.9.0 is missing: run scripts/install-libtorch.sh, then build again"
