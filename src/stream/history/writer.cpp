// The thread between journal and history.

#include <algorithm>

#include <pthread.h>

#include "base/log.h"
#include "stream/history.h"
#include "stream/records.h"

namespace penstock::stream {
namespace {

constexpr size_t kRecordsOfOneStep = 4096;
constexpr Duration kRetryFirst = Duration::millis(500), kRetryMax = Duration::seconds(30);
constexpr int64_t kTrimEveryUs = Duration::hours(1).us;
constexpr int64_t kIdleFlushUs = Duration::seconds(30).us;

}  // namespace

HistoryWriter::HistoryWriter(HistoryStore& store, Journal& journal, Clock& clock, Metrics& metrics)
    : store_(store),
      journal_(journal),
      clock_(clock),
      lag_bytes_(metrics.gauge("penstock_history_lag_bytes",
                               "Journal bytes that history has not read yet")),
      lag_seconds_(metrics.gauge("penstock_history_lag_seconds",
                                 "Age of the newest sample that history has read, while it lags")),
      state_gauge_(metrics.gauge("penstock_history_well", "1: history follows; 0: it is refused")),
      bad_records_(metrics.counter("penstock_history_bad_records_total",
                                   "Journal records that history could not decode")),
      retry_wait_(kRetryFirst) {}

HistoryWriter::~HistoryWriter() { stop(); }

void HistoryWriter::start() {
  thread_ = std::thread([this] { run(); });
}

void HistoryWriter::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (reader_) reader_->wake();
  }
  stop_wanted_.notify_all();
  thread_.join();
  if (const Status flushed = store_.flush(); !flushed)
    log_warning("history", "what was in memory is left to the journal: {}", flushed.error().text());
}

void HistoryWriter::run() {
  pthread_setname_np(pthread_self(), "history");
  while (true) {
    const auto done = step(kRecordsOfOneStep);
    std::unique_lock lock(mutex_);
    if (stopping_) return;
    if (!done) {
      stop_wanted_.wait_for(lock, std::chrono::microseconds(retry_wait_.us),
                            [&] { return stopping_; });
      retry_wait_ = std::min(retry_wait_ * 2, kRetryMax);
      continue;
    }
    retry_wait_ = kRetryFirst;
    if (*done || !reader_) continue;
    lock.unlock();
    reader_->wait(Duration::millis(250));
  }
}

// Nothing is read while a write is refused: what is in memory stays bounded, the journal keeps the
// rest.
Result<bool> HistoryWriter::step(size_t records_max) {
  const auto refused = [&](const Error& error) {
    store_.report(HistoryState::kBehind, error.text());
    state_gauge_.set(0);
    log_warning("history", "{}; it tries again, nothing is lost", error.text());
    show_lag();
    return tl::unexpected<Error>(error);
  };
  bool worked = false;
  if (store_.due()) {
    if (const Status flushed = store_.flush(); !flushed) return refused(flushed.error());
    worked = true;
  }
  const auto read = read_some(records_max);
  if (!read) return refused(read.error());
  if (*read == 0) {
    const auto compacted = store_.compact_some(false);
    if (!compacted) return refused(compacted.error());
    worked = worked || *compacted;
    maintain();
  } else if (store_.status().hot_rows > 1'000'000) {
    // Never idle: tidy all the same, before queries feel it.
    const auto compacted = store_.compact_some(false);
    if (!compacted) return refused(compacted.error());
  }
  store_.report(HistoryState::kWell, "history is up to date");
  state_gauge_.set(1);
  show_lag();
  return worked || *read > 0;
}

Result<size_t> HistoryWriter::read_some(size_t records_max) {
  if (!reader_) {
    const JournalOffset wanted = store_.committed_offset();
    const JournalOffset from = std::max(wanted, journal_.begin_offset());
    if (from > wanted && wanted > 0)
      log_error("history", "the journal was trimmed before history had read bytes {} to {}", wanted,
                from);
    if (from > journal_.durable_offset())
      return fail(ErrorCode::kCorrupt,
                  "history is ahead of the journal: restore both from one backup", "history");
    TRY_ASSIGN(auto reader, journal_.read_from(from));
    const std::lock_guard lock(mutex_);
    reader_ = std::move(reader);
  }
  size_t records = 0;
  for (; records < records_max && !store_.due(); ++records) {
    auto record = reader_->next();
    if (!record) {
      const std::lock_guard lock(mutex_);
      reader_.reset();  // begins anew where history ends
      return fail(record.error());
    }
    if (!*record) break;
    if ((*record)->type != RecordType::kSamples) {
      store_.pass((*record)->next);
      continue;
    }
    const auto samples = decode_samples((*record)->body, unpacked_);
    if (!samples) {
      bad_records_.add();
      store_.pass((*record)->next);
      continue;
    }
    if (!samples->samples.empty()) newest_received_ = samples->samples.back().received_time;
    store_.take(*samples, (*record)->next);
  }
  return records;
}

void HistoryWriter::maintain() {
  const int64_t now = clock_.monotonic_us();
  const HistoryStatus status = store_.status();
  if (status.tail_samples == 0 && status.committed != status.read &&
      now - compact_at_us_ > kIdleFlushUs) {
    compact_at_us_ = now;
    if (const Status moved = store_.flush(); !moved)
      log_warning("history", "{}", moved.error().text());
  }
  if (now - trimmed_at_us_ < kTrimEveryUs) return;
  trimmed_at_us_ = now;
  if (const Status trimmed = store_.trim(); !trimmed)
    log_warning("history", "old samples were not removed: {}", trimmed.error().text());
  if (const Status written = store_.checkpoint(); !written)
    log_warning("history", "{}", written.error().text());
}

void HistoryWriter::show_lag() {
  const JournalOffset durable = journal_.durable_offset(), read = store_.status().read;
  const bool behind = durable > read;
  lag_bytes_.set(behind ? static_cast<double>(durable - read) : 0);
  lag_seconds_.set(
      behind && newest_received_.us != 0 ? (clock_.now() - newest_received_).as_seconds() : 0);
}

}  // namespace penstock::stream
