// Found only where libtorch's own header is not: see .cargo/config.toml. It is the first that torch-sys asks for.
#error "libtorch 2.9.0 is missing: run scripts/install-libtorch.sh, then build again"
// A header that is not there ends the compilation here, so that this is all that is read.
#include "scripts/install-libtorch.sh"
