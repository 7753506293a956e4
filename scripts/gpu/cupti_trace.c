// A timeline of a CUDA program without Nsight Systems: CUDA_INJECTION64_PATH=/path/libcupti_trace.so PROGRAM
// At exit it prints, for the last TRACE_SECONDS (default 1) before the last kernel whose name holds TRACE_LAST (default: the last kernel),
// kernels, copies and waits of the host by time, the busy share of the GPU, and how many kernels hold TRACE_LAST. scripts/check-gpu.sh
// compiles it: KERNEL, MEMCPY, MEMSET and SYNC are the newest records of the CUPTI at hand.
#include <cupti.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long u64;
typedef struct {
  u64 start, end;
  char kind;  // k: kernel, c: copy, m: memset, s: the host waits.
  const char *name;
} Event;

static Event *events;
static size_t count, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void add(u64 start, u64 end, char kind, const char *name) {
  if (count == room) {
    room = room ? room * 2 : 1 << 16;
    events = realloc(events, room * sizeof *events);
    if (!events) abort();
  }
  // Buffers go, and a demangled template is long.
  events[count++] = (Event){start, end, kind, strndup(name, 512)};
}

static void CUPTIAPI requested(uint8_t **buffer, size_t *size, size_t *max_records) {
  *size = 8 << 20;
  *max_records = 0;
  *buffer = aligned_alloc(8, *size);
}

static const char *copy_name(int kind) {
  if (kind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD) return "copy host to device";
  if (kind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH) return "copy device to host";
  return "copy on the device";
}

static void CUPTIAPI completed(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid) {
  CUpti_Activity *record = NULL;
  pthread_mutex_lock(&lock);
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      KERNEL *kernel = (KERNEL *)record;
      add(kernel->start, kernel->end, 'k', kernel->name);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      MEMCPY *copy = (MEMCPY *)record;
      add(copy->start, copy->end, 'c', copy_name(copy->copyKind));
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      MEMSET *set = (MEMSET *)record;
      add(set->start, set->end, 'm', "memset");
    } else if (record->kind == CUPTI_ACTIVITY_KIND_SYNCHRONIZATION) {
      SYNC *wait = (SYNC *)record;
      int of_stream = wait->type == CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE;
      int of_event = wait->type == CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE;
      // Streams that wait for events do not make the host wait.
      if (wait->type != CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT)
        add(wait->start, wait->end, 's', of_stream ? "the host waits for a stream" : of_event ? "the host waits for an event" : "the host waits for the device");
    }
  }
  pthread_mutex_unlock(&lock);
  free(buffer);
}

static int by_start(const void *a, const void *b) {
  const Event *x = a, *y = b;
  return (x->start > y->start) - (x->start < y->start);
}

typedef struct {
  const char *name;
  char kind;
  u64 time, count;
} Row;

static int by_time(const void *a, const void *b) {
  const Row *x = a, *y = b;
  return (x->time < y->time) - (x->time > y->time);
}

static void finish(void) {
  cuptiActivityFlushAll(1);
  pthread_mutex_lock(&lock);
  qsort(events, count, sizeof *events, by_start);
  const char *mark = getenv("TRACE_LAST"), *seconds = getenv("TRACE_SECONDS");
  u64 last = 0;
  for (size_t i = 0; i < count; i++)
    if (events[i].kind == 'k' && events[i].end > last && (!mark || strstr(events[i].name, mark))) last = events[i].end;
  if (!last) {
    fprintf(stderr, "trace: no kernel%s%s\n", mark ? " holds " : " ran", mark ? mark : "");
    return;
  }
  u64 window = (u64)((seconds ? atof(seconds) : 1.0) * 1e9), from = last > window ? last - window : 0;
  u64 first = 0, reach = 0, busy = 0, launches = 0, waits = 0, marks = 0;
  Row *rows = calloc(count, sizeof *rows);
  size_t kinds = 0;
  if (!rows) abort();
  for (size_t i = 0; i < count; i++) {
    Event *event = events + i;
    if (event->start < from || event->start > last) continue;
    if (!first) first = event->start;
    size_t r = 0;
    while (r < kinds && (rows[r].kind != event->kind || strcmp(rows[r].name, event->name))) r++;
    if (r == kinds) rows[kinds++] = (Row){event->name, event->kind, 0, 0};
    rows[r].time += event->end - event->start;
    rows[r].count++;
    if (event->kind == 's') {
      waits++;
      continue;
    }
    launches++;
    if (mark && strstr(event->name, mark)) marks++;
    if (event->end > reach) {
      busy += event->end - (event->start > reach ? event->start : reach);
      reach = event->end;
    }
  }
  double span = (double)((reach > last ? reach : last) - first);
  fprintf(stderr, "trace: %.1f ms, busy %.1f %%, %llu kernels and copies, %llu waits of the host, %llu kernels hold %s\n", span / 1e6,
          100 * (double)busy / span, launches, waits, marks, mark ? mark : "(nothing)");
  fprintf(stderr, "%10s %8s %9s  what\n", "ms", "count", "us each");
  qsort(rows, kinds, sizeof *rows, by_time);
  for (size_t r = 0; r < kinds && r < 40; r++)
    fprintf(stderr, "%10.2f %8llu %9.2f  %c %.110s\n", rows[r].time / 1e6, rows[r].count, rows[r].time / 1e3 / rows[r].count, rows[r].kind,
            rows[r].name);
}

// The CUDA driver calls it.
__attribute__((visibility("default"))) int InitializeInjection(void) {
  if (cuptiActivityRegisterCallbacks(requested, completed) != CUPTI_SUCCESS) {
    fprintf(stderr, "trace: CUPTI refuses\n");
    return 1;
  }
  CUpti_ActivityKind kinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
                                CUPTI_ACTIVITY_KIND_SYNCHRONIZATION};
  for (int i = 0; i < 4; i++)
    if (cuptiActivityEnable(kinds[i]) != CUPTI_SUCCESS) fprintf(stderr, "trace: CUPTI has no records of kind %d\n", kinds[i]);
  atexit(finish);
  return 1;
}
