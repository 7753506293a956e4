// Functions of libtorch that the tch crate does not wrap. Tensors are pointers to at::Tensor, as in tch; results are new
// ones, which the caller owns. Functions return null on success, else the exception's message, which the caller frees.
#include <torch/version.h>
// The versions that scripts/install-libtorch.sh accepts.
#if TORCH_VERSION_MAJOR != 2 || TORCH_VERSION_MINOR < 9 || TORCH_VERSION_MINOR > 11
#error "LIBTORCH is none of the versions 2.9, 2.10 and 2.11: unset it and run scripts/install-libtorch.sh, then build again"
#include "scripts/install-libtorch.sh"  // Does not exist: ends the compilation here.
#endif

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/stack.h>
#include <ATen/record_function.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <omp.h>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>

#ifdef SHIM_CUDA
// From c10/cuda/CUDAFunctions.h, CUDAStream.h and CUDAAllocatorConfig.h, which include headers of a CUDA toolkit.
namespace c10::cuda {
DeviceIndex device_count_ensure_non_zero();
class CUDAStream {
 public:
  struct CUstream_st* stream() const;

 private:
  Stream stream_;
};
CUDAStream getCurrentCUDAStream(DeviceIndex device);
namespace CUDACachingAllocator {
void setAllocatorSettings(const std::string& settings);
}
}  // namespace c10::cuda
#endif

namespace {

// oneDNN caches kernels for the last 1024 shapes of matmuls, some megabytes each, and PyTorch's wrapper of it caches as many
// in each thread. Batches bring new shapes all the time: gigabytes after a few hundred steps. Both read these variables
// before their first matmul; before main there is no other thread.
int limit_kernel_caches() {
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128", /*overwrite=*/0);
  return setenv("LRU_CACHE_CAPACITY", "64", /*overwrite=*/0);
}
const int kernel_caches_limited = limit_kernel_caches();

// A copy that the caller frees. Null means success, so a failed copy must not return.
char* message(const char* text) {
  char* copy = strdup(text);
  if (copy == nullptr) abort();
  return copy;
}

template <class F>
char* caught(F&& body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
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

// An operation's number of launches on a GPU is taken as one if it computes or copies: views and allocations launch nothing,
// compositions launch what they call, and what a GPU has one kernel for is not taken apart.
std::mutex counts_mutex;
std::map<std::string, size_t> counts;
at::CallbackHandle counting;
thread_local std::vector<bool> open_operations;  // Whether a part of it was counted.
thread_local size_t open_kernels = 0;

bool has_kernel(const char* name) {
  for (const char* kernel : {"aten::native_dropout", "aten::native_layer_norm", "aten::_foreach", "aten::_fused", "aten::addmm",
                             "aten::embedding_dense_backward", "aten::_log_softmax", "aten::_softmax"})
    if (strncmp(name, kernel, strlen(kernel)) == 0) return true;
  return false;
}

bool launches_nothing(const std::string& name) {
  for (const char* view : {"view", "_unsafe_view", "as_strided", "narrow", "slice", "select", "t", "transpose", "permute", "unsqueeze",
                           "squeeze", "expand", "expand_as", "reshape", "_reshape_alias", "alias", "detach", "contiguous", "to", "empty",
                           "empty_like", "empty_strided", "new_empty", "resize_", "split", "numpy_T", "lift_fresh", "is_pinned", "chunk",
                           "flatten", "unbind", "item", "broadcast_to", "set_data", "resolve_conj", "resolve_neg", "result_type", "view_as"})
    if (name == std::string("aten::") + view) return true;
  return false;
}

std::unique_ptr<at::ObserverContext> begin_operation(const at::RecordFunction& function) {
  open_operations.push_back(false);
  if (has_kernel(function.name())) open_kernels++;
  return nullptr;
}

void end_operation(const at::RecordFunction& function, at::ObserverContext*) {
  if (open_operations.empty()) return;  // It began before the callback.
  const bool has_counted_part = open_operations.back();
  open_operations.pop_back();
  const bool is_kernel = has_kernel(function.name());
  if (is_kernel) open_kernels--;
  if (open_kernels > 0) return;
  const bool counted = is_kernel || (!has_counted_part && !launches_nothing(function.name()));
  if (counted) {
    const std::lock_guard<std::mutex> lock(counts_mutex);
    counts[function.name()]++;
  }
  if ((counted || has_counted_part) && !open_operations.empty()) open_operations.back() = true;
}

}  // namespace

extern "C" {

// MKL's, where libtorch has MKL.
__attribute__((weak)) int MKL_Set_Num_Threads_Local(int);

struct ShimThreads {
  int omp;
  int mkl;
};

// Keeps libtorch's matmuls on this thread; returns what shim_restore_threads takes to undo that.
ShimThreads shim_single_threaded() {
  const ShimThreads before{omp_get_max_threads(), MKL_Set_Num_Threads_Local ? MKL_Set_Num_Threads_Local(1) : 0};
  omp_set_num_threads(1);
  return before;
}

void shim_restore_threads(ShimThreads before) {
  omp_set_num_threads(before.omp);
  if (MKL_Set_Num_Threads_Local) MKL_Set_Num_Threads_Local(before.mkl);
}

// "highest", "high" (TF32 on GPUs) or "medium" (bf16 inside matmuls on CPUs that have it).
char* shim_set_float32_matmul_precision(const char* precision) {
  return caught([=] {
    // What PyTorch's `set_float32_matmul_precision` sets, without its deprecation warning.
    const std::string name(precision);
    auto& context = at::globalContext();
#if TORCH_VERSION_MINOR >= 10
    using at::Float32Backend, at::Float32Op, at::Float32Precision;
    const auto cuda = name == "highest" ? Float32Precision::IEEE : Float32Precision::TF32;
    const auto mkldnn = name == "medium" ? Float32Precision::BF16 : Float32Precision::IEEE;
    context.setFloat32Precision(Float32Backend::CUDA, Float32Op::MATMUL, cuda);
    context.setFloat32Precision(Float32Backend::MKLDNN, Float32Op::MATMUL, mkldnn);
#else
    context.setFloat32Precision("cuda", "matmul", name == "highest" ? "ieee" : "tf32");
    context.setFloat32Precision("mkldnn", "matmul", name == "medium" ? "bf16" : "ieee");
#endif
  });
}

// Why there is no usable GPU: null if there is one.
char* shim_cuda_problem() {
#ifdef SHIM_CUDA
  return caught([] { c10::cuda::device_count_ensure_non_zero(); });
#else
  return message("this libtorch was built without CUDA");
#endif
}

// The cudaStream_t on which libtorch's kernels for the device run.
char* shim_current_stream(int64_t device, void** stream) {
#ifdef SHIM_CUDA
  return caught([=] { *stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream(); });
#else
  (void)device, (void)stream;
  return message("this libtorch was built without CUDA");
#endif
}

// Query, key, value [1, tokens, heads, head_size]; cu_seqlens [sequences + 1] (int32, on the device).
// Results: output, log-sum-exp, seed and offset of the dropout masks.
char* shim_efficient_attention(at::Tensor** out, const at::Tensor* query, const at::Tensor* key, const at::Tensor* value,
                               const at::Tensor* cu_seqlens, int64_t max_seqlen, double dropout) {
  return caught([=] {
    auto result = at::_efficient_attention_forward(*query, *key, *value, std::nullopt, *cu_seqlens, *cu_seqlens, max_seqlen, max_seqlen, dropout,
                                                   /*custom_mask_type=*/0, /*compute_log_sumexp=*/true);
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result), std::get<3>(result));
  });
}

// Query, key, value [tokens, heads, head_size] in half precision. Results as above.
char* shim_flash_attention(at::Tensor** out, const at::Tensor* query, const at::Tensor* key, const at::Tensor* value,
                           const at::Tensor* cu_seqlens, int64_t max_seqlen, double dropout) {
  return caught([=] {
    auto result = at::_flash_attention_forward(*query, *key, *value, *cu_seqlens, *cu_seqlens, max_seqlen, max_seqlen, dropout,
                                               /*is_causal=*/false, /*return_debug_mask=*/false);
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result), std::get<3>(result));
  });
}

// Gradients of input, weight and bias of at::native_layer_norm over the last dimension.
char* shim_layer_norm_backward(at::Tensor** out, const at::Tensor* grad, const at::Tensor* input, const at::Tensor* mean,
                               const at::Tensor* inverse_std, const at::Tensor* weight) {
  return caught([=] {
    auto result = at::native_layer_norm_backward(*grad, *input, weight->sizes(), *mean, *inverse_std, *weight,
                                                 /*bias, of which only the shape is read=*/*weight, {true, true, true});
    give(out, std::get<0>(result), std::get<1>(result), std::get<2>(result));
  });
}

// One AdamW step over parameters of one device, in place: number `step`. `grad_scale` divides the gradients first; nothing changes
// where `found_inf` is 1.
char* shim_fused_adamw(size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* exp_avg,
                       at::Tensor* const* exp_avg_sq, const at::Tensor* step, double learning_rate, double beta1, double beta2,
                       double weight_decay, double eps, const at::Tensor* grad_scale, const at::Tensor* found_inf) {
  return caught([=] {
    at::_fused_adamw_(list(parameters, count), list(gradients, count), list(exp_avg, count), list(exp_avg_sq, count), {},
                      std::vector<at::Tensor>(count, *step), learning_rate, beta1, beta2, weight_decay, eps, /*amsgrad=*/false,
                      /*maximize=*/false, *grad_scale, *found_inf);
  });
}

// The norm of each tensor, [count].
char* shim_foreach_norm(at::Tensor** out, size_t count, at::Tensor* const* tensors) {
  return caught([=] { give(out, at::stack(at::_foreach_norm(list(tensors, count), 2))); });
}

// Copies each source to its target, which may have another type. On a GPU all at once, if each pair has equal strides.
char* shim_foreach_copy(size_t count, at::Tensor* const* targets, at::Tensor* const* sources) {
  return caught([=] { at::_foreach_copy_(list(targets, count), list(sources, count)); });
}

// The product in f32. On a GPU the matmul writes it; elsewhere it is converted.
char* shim_mm_f32(at::Tensor** out, const at::Tensor* left, const at::Tensor* right) {
  return caught([=] {
    const bool is_half = left->scalar_type() != at::kFloat;
    give(out, is_half && left->is_cuda() ? at::mm(*left, *right, at::kFloat) : at::mm(*left, *right).to(at::kFloat));
  });
}

// Lets the allocator of GPUs' memory grow its segments: lengths change from batch to batch, which leaves holes in fixed ones. A
// setting of the user wins. Called before the first allocation.
char* shim_use_expandable_segments() {
  return caught([] {
    if (getenv("PYTORCH_ALLOC_CONF") != nullptr || getenv("PYTORCH_CUDA_ALLOC_CONF") != nullptr) return;
    const std::string settings("expandable_segments:True");
#if TORCH_VERSION_MINOR >= 10
    c10::CachingAllocator::setAllocatorSettings(settings);
#elif defined(SHIM_CUDA)
    c10::cuda::CUDACachingAllocator::setAllocatorSettings(settings);
#endif
  });
}

// Bytes that libtorch's allocator has given out on a GPU: now and at most.
char* shim_device_memory(int64_t device, int64_t* current, int64_t* peak) {
  return caught([=] {
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    *current = stats.allocated_bytes[all].current;
    *peak = stats.allocated_bytes[all].peak;
  });
}

// A copy of a host tensor on a device. To a GPU it goes through pinned memory, and the host does not wait.
char* shim_upload(at::Tensor** out, const at::Tensor* host, int64_t gpu) {
  return caught([=] {
    const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(gpu));
    give(out, host->pin_memory().to(device, /*non_blocking=*/true));
  });
}

// Starts to copy a tensor to pinned host memory. `event` marks the end of the copy.
char* shim_start_download(at::Tensor** out, c10::Event** event, const at::Tensor* tensor) {
  return caught([=] {
    auto host = at::empty_like(*tensor, tensor->options().device(at::kCPU).pinned_memory(true));
    host.copy_(*tensor, /*non_blocking=*/true);
    auto copied = std::make_unique<c10::Event>(tensor->device().type());
    copied->record(c10::impl::VirtualGuardImpl(tensor->device().type()).getStream(tensor->device()));
    *event = copied.release();
    give(out, std::move(host));
  });
}

char* shim_synchronize_event(const c10::Event* event) {
  return caught([=] { event->synchronize(); });
}

void shim_free_event(c10::Event* event) { delete event; }

// Counts the operations that launch kernels, by name, until shim_end_count.
char* shim_begin_count() {
  return caught([] {
    counts.clear();
    counting = at::addGlobalCallback(
        at::RecordFunctionCallback(begin_operation, end_operation).scopes({at::RecordScope::FUNCTION}));
  });
}

// Lines of a name and a number, for the caller to free.
char* shim_end_count() {
  at::removeCallback(counting);
  const std::lock_guard<std::mutex> lock(counts_mutex);
  std::string lines;
  for (const auto& [name, count] : counts) lines += name + " " + std::to_string(count) + "\n";
  return message(lines.c_str());
}
}
