// What libtorch offers and the tch crate does not. Tensors come as pointers to at::Tensor, as in tch; results are new ones
// that the caller owns. Exceptions become messages: null for success, else a C string that the caller frees.
#include <torch/version.h>
// The version whose operations the tch crate wraps.
#if TORCH_VERSION_MAJOR != 2 || TORCH_VERSION_MINOR != 9 || TORCH_VERSION_PATCH != 0
#error "LIBTORCH is not version 2.9.0: unset it and run scripts/install-libtorch.sh, then build again"
#include "scripts/install-libtorch.sh"  // Is not there, and ends the compilation here.
#endif

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <c10/core/Stream.h>
#include <omp.h>
#include <cstdlib>
#include <cstring>
#include <exception>

#ifdef SHIM_CUDA
// Of c10/cuda/CUDAFunctions.h and CUDAStream.h, whose includes ask for headers of a CUDA toolkit.
namespace c10::cuda {
DeviceIndex device_count_ensure_non_zero();
class CUDAStream {
 public:
  struct CUstream_st* stream() const;

 private:
  Stream stream_;
};
CUDAStream getCurrentCUDAStream(DeviceIndex device);
}  // namespace c10::cuda
#endif

namespace {

// oneDNN keeps kernels for the last 1024 shapes of products, some megabytes each, and PyTorch's wrapper of it holds as many in each
// thread. Batches bring new shapes all the time: gigabytes after a few hundred steps. Both read this before their first product; before
// main there is no other thread.
int keep_fewer_kernels() {
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128", /*overwrite=*/0);
  return setenv("LRU_CACHE_CAPACITY", "64", /*overwrite=*/0);
}
const int fewer_kernels = keep_fewer_kernels();

template <class F>
char* caught(F&& body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception of unknown type");
  }
}

template <class... T>
void give(at::Tensor** out, T&&... tensors) {
  ((*out++ = new at::Tensor(std::forward<T>(tensors))), ...);
}

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> all;
  all.reserve(count);
  for (size_t i = 0; i < count; i++) all.push_back(*tensors[i]);
  return all;
}

}  // namespace

extern "C" {

// MKL's, where libtorch has MKL.
__attribute__((weak)) int MKL_Set_Num_Threads_Local(int);

struct ShimThreads {
  int omp;
  int mkl;
};

// Makes libtorch's products on this thread use no other; returns what shim_restore_threads takes to undo it.
ShimThreads shim_single_threaded() {
  const ShimThreads before{omp_get_max_threads(), MKL_Set_Num_Threads_Local ? MKL_Set_Num_Threads_Local(1) : 0};
  omp_set_num_threads(1);
  return before;
}

void shim_restore_threads(ShimThreads before) {
  omp_set_num_threads(before.omp);
  if (MKL_Set_Num_Threads_Local) MKL_Set_Num_Threads_Local(before.mkl);
}

// "highest", "high" (TF32 on GPUs) or "medium" (bf16 inside products on CPUs that have it).
char* shim_set_float32_matmul_precision(const char* precision) {
  return caught([=] {
    // PyTorch's `set_float32_matmul_precision` in the words of its new settings: the old one warns that it is old.
    const std::string name(precision);
    auto& context = at::globalContext();
    context.setFloat32Precision("cuda", "matmul", name == "highest" ? "ieee" : "tf32");
    context.setFloat32Precision("mkldnn", "matmul", name == "medium" ? "bf16" : "ieee");
  });
}

// Why there is no usable GPU: null if there is one.
char* shim_cuda_problem() {
#ifdef SHIM_CUDA
  return caught([] { c10::cuda::device_count_ensure_non_zero(); });
#else
  return strdup("this libtorch was built without CUDA");
#endif
}

// The cudaStream_t that libtorch's kernels for the device are put on.
char* shim_current_stream(int64_t device, void** stream) {
#ifdef SHIM_CUDA
  return caught([=] { *stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream(); });
#else
  (void)device, (void)stream;
  return strdup("this libtorch was built without CUDA");
#endif
}

// Query, key, value [1, tokens, heads, head_size] with windows at `bounds` [windows + 1] (int32, on the device).
// Results: output, log-sum-exp, seed and offset of the dropout masks.
char* shim_efficient_attention(at::Tensor** out, const at::Tensor* query, const at::Tensor* key, const at::Tensor* value,
                               const at::Tensor* bounds, int64_t longest, double dropout) {
  return caught([=] {
    auto result = at::_efficient_attention_forward(*query, *key, *value, std::nullopt, *bounds, *bounds, longest, longest, dropout,
                                                   /*custom_mask_type=*/0, /*compute_log_sumexp=*/true);
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result), std::get<3>(result));
  });
}

// Query, key, value [tokens, heads, head_size] in half precision. Results as above.
char* shim_flash_attention(at::Tensor** out, const at::Tensor* query, const at::Tensor* key, const at::Tensor* value,
                           const at::Tensor* bounds, int64_t longest, double dropout) {
  return caught([=] {
    auto result = at::_flash_attention_forward(*query, *key, *value, *bounds, *bounds, longest, longest, dropout,
                                               /*is_causal=*/false, /*return_debug_mask=*/false);
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result), std::get<3>(result));
  });
}

// Gradients of input, weight and bias of at::native_layer_norm over the last dimension.
char* shim_layer_norm_backward(at::Tensor** out, const at::Tensor* grad, const at::Tensor* input, const at::Tensor* mean,
                               const at::Tensor* inverse_std, const at::Tensor* weight) {
  return caught([=] {
    auto result = at::native_layer_norm_backward(*grad, *input, weight->sizes(), *mean, *inverse_std, *weight,
                                                 /*bias, of which only the shape matters=*/*weight, {true, true, true});
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result));
  });
}

// One AdamW step over parameters of one device, in place; `grad_scale` divides the gradients first, `steps` count it.
char* shim_fused_adamw(size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* first,
                       at::Tensor* const* second, at::Tensor* const* steps, double learning_rate, double beta1, double beta2,
                       double weight_decay, double eps, const at::Tensor* grad_scale) {
  return caught([=] {
    at::_fused_adamw_(list(parameters, count), list(gradients, count), list(first, count), list(second, count), {},
                      list(steps, count), learning_rate, beta1, beta2, weight_decay, eps, /*amsgrad=*/false, /*maximize=*/false,
                      *grad_scale);
  });
}
}
