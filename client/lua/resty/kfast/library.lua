-- libkfast, loaded: its declarations for the FFI and its functions.
local ffi = require "ffi"

-- As in kfast.h, but for what is read during a call only: `const char*`, to which the FFI passes a
-- Lua string as it stands, without a copy.
if not pcall(ffi.typeof, "kfast_record_t") then
  ffi.cdef [[
    typedef struct kfast_options kfast_options_t;
    typedef struct kfast_producer kfast_producer_t;
    typedef struct kfast_header {
      const char* name;
      size_t name_size;
      const char* value;
      size_t value_size;
    } kfast_header_t;
    typedef struct kfast_record {
      const char* key;
      size_t key_size;
      const char* value;
      size_t value_size;
      const kfast_header_t* headers;
      size_t header_count;
      int64_t timestamp_ms;
      void* opaque;
      int64_t position;
      int32_t topic;
      int32_t partition;
    } kfast_record_t;
    typedef struct kfast_report {
      int64_t position;
      int64_t offset;
      int32_t topic;
      int32_t partition;
      int32_t outcome;
      int32_t error;
    } kfast_report_t;

    const char* kfast_version(void);
    const char* kfast_kafka_error(int error);
    kfast_options_t* kfast_options_new(void);
    void kfast_options_free(kfast_options_t* options);
    int kfast_options_set(kfast_options_t* options, const char* name, const char* value,
                          char* errstr, size_t errstr_size);
    int kfast_producer_begin(const kfast_options_t* options, kfast_producer_t** producer,
                             char* errstr, size_t errstr_size);
    int kfast_producer_ready(kfast_producer_t* producer, int timeout_ms);
    void kfast_producer_close(kfast_producer_t* producer);
    int32_t kfast_topic(kfast_producer_t* producer, const char* name);
    const char* kfast_topic_name(const kfast_producer_t* producer, int32_t topic);
    int64_t kfast_send(kfast_producer_t* producer, int32_t topic, const char* key,
                       size_t key_size, const char* value, size_t value_size);
    int64_t kfast_send_record(kfast_producer_t* producer, int32_t topic, int32_t partition,
                              int64_t timestamp_ms, const char* key, size_t key_size,
                              const char* value, size_t value_size,
                              const kfast_header_t* headers, size_t header_count,
                              int timeout_ms);
    int kfast_send_batch(kfast_producer_t* producer, kfast_record_t* records, size_t count,
                         int timeout_ms);
    int kfast_reports(kfast_producer_t* producer, kfast_report_t* reports, size_t max);
    int kfast_flush_to(kfast_producer_t* producer, int64_t position, int timeout_ms);
    uint64_t kfast_used_bytes(kfast_producer_t* producer);
    uint64_t kfast_ring_bytes(const kfast_producer_t* producer);
    int kfast_bell(kfast_producer_t* producer, void* hello, char* path, size_t path_size);
    const char* kfast_last_error(const kfast_producer_t* producer);
  ]]
end

local SONAME = "libkfast.so.0"

local found, library = pcall(ffi.load, os.getenv("KFAST_LIBRARY") or SONAME)
if not found then
  error("resty.kfast cannot load libkfast (" .. tostring(library) .. "): install it and run " ..
        "ldconfig, or name its file in the environment variable KFAST_LIBRARY, which nginx's workers " ..
        "get by `env KFAST_LIBRARY;` in nginx.conf", 0)
end

-- The youngest of the functions above tells whether the library has them all.
if not pcall(function() return library.kfast_bell end) then
  error("libkfast " .. ffi.string(library.kfast_version()) .. " is older than resty.kfast needs: " ..
        "install both of one version, then restart nginx", 0)
end

return library
