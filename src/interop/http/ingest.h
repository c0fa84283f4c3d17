#pragma once
// HTTP ingest without HTTP: a body of some format from somebody who has been recognised becomes
// samples, and the answer comes once they are durable. docs/http-ingest.md.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "interop/http/idempotency.h"
#include "interop/http/influx_line.h"
#include "interop/http/rows.h"
#include "stream/intake.h"
#include "twin/identity.h"

namespace penstock::interop::http {

enum class Format : uint8_t { kJson, kJsonLines, kCsv, kInfluxLine, kOtlpProtobuf, kOtlpJson };
std::string_view name(Format format);

struct IngestOptions {
  RowLimits rows;
  size_t waiting_bytes_max = 128U << 20;  ///< of requests whose samples are not durable yet
  double rows_per_s_max = 200'000;        ///< of one sender, in the long run …
  double rows_burst_max = 1'000'000;      ///< … and at once
  size_t senders_max = 10'000;            ///< whose rates are remembered
  Duration durable_timeout = Duration::seconds(30);
};

struct IngestRequest {
  Format format = Format::kJson;
  std::string_view body;
  std::string_view device;  ///< that all rows without one belong to; empty: the sender itself
  LineOptions line;
  std::string_view idempotency_key;  ///< empty: none
  const twin::DeviceIdentity& sender;
};

struct IngestAnswer {
  uint64_t rows = 0;
  uint64_t refused_rows = 0;             ///< could not be read, or a value of them was refused
  uint64_t accepted = 0, rejected = 0;   ///< values
  uint64_t suppressed = 0, unbound = 0;  ///< values
  uint64_t discovered = 0;               ///< rows of unregistered devices
  std::vector<std::pair<uint32_t, std::string>> errors;  ///< row, why; the first hundred
  bool repeated = false;  ///< the answer of a request that came before
};
std::string to_json_text(const IngestAnswer& answer);
Result<IngestAnswer> answer_from_json(std::string_view text);

/// Any thread; take() blocks until the journal has synced.
class Ingest {
 public:
  using Submit = std::function<void(std::vector<stream::Intake>,
                                    std::function<void(std::vector<stream::Receipt>)>)>;
  /// `submit` is Pipeline::submit. All must outlive it.
  Ingest(Submit submit, const twin::TwinRegistry& twins, IdempotencyKeys& keys, Clock& clock,
         Metrics& metrics, IngestOptions options);
  Ingest(Submit submit, const twin::TwinRegistry& twins, IdempotencyKeys& keys, Clock& clock,
         Metrics& metrics)
      : Ingest(std::move(submit), twins, keys, clock, metrics, IngestOptions()) {}

  /// kInvalidArgument: not that format, or a wrong key. kPermissionDenied: not the sender's device.
  /// kResourceExhausted: too many rows a second. kUnavailable: the journal is behind or does not
  /// write; send it again. What it answers otherwise is durable.
  Result<IngestAnswer> take(const IngestRequest& request);
  /// Nobody will answer any more: those who wait are told to come again.
  void stop() { stopping_ = true; }

 private:
  struct Bucket {
    double rows = 0;
    int64_t filled_us = 0;
  };
  /// The rows as intakes; what cannot be sent on is refused in `rows`.
  Result<std::vector<stream::Intake>> intakes_of(const IngestRequest& request, Rows& rows,
                                                 std::vector<uint32_t>& numbers) const;
  static std::string_view device_written(const IngestRequest& request, const Row& row);
  Result<std::string> device_of(const IngestRequest& request, std::string_view written) const;
  void shorten(const twin::DeviceConfig& device, const Row& row, Rows& rows) const;
  Status charge(const std::string& sender, size_t rows);
  Result<std::vector<stream::Receipt>> submit_and_wait(std::vector<stream::Intake> intakes);

  Submit submit_;
  const twin::TwinRegistry& twins_;
  IdempotencyKeys& keys_;
  Clock& clock_;
  IngestOptions options_;
  Counter* rows_[6];
  Counter& refused_;
  Counter& repeated_;
  Counter& busy_;
  std::atomic<size_t> waiting_bytes_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  int64_t next_free_us_ = 0;  ///< times given to rows without one: never twice
};

}  // namespace penstock::interop::http
