// Found only if libtorch's own header is absent: see .cargo/config.toml. torch-sys includes this header first.
#error "libtorch is missing: run scripts/install-libtorch.sh, then build again"
// Including a file that does not exist stops the compiler here, so that no further error follows.
#include "scripts/install-libtorch.sh"
