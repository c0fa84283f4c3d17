#include "stream/journal.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>

#include "base/check.h"
#include "base/log.h"
#include "stream/journal_format.h"
#include "stream/journal_segment.h"

namespace penstock::stream {

using namespace journal_format;

// -- Batch

void Batch::begin(RecordType type) {
  record_at_ = bytes_.size();
  bytes_.resize(record_at_ + kRecordHeader);
  bytes_[record_at_] = static_cast<std::byte>(type);
}

void Batch::end() {
  const auto length = static_cast<uint32_t>(bytes_.size() - record_at_ - kRecordHeader);
  std::memcpy(bytes_.data() + record_at_ + 4, &length, sizeof length);
  bytes_.resize(padded(bytes_.size()));
  ++records_;
}

void Batch::clear() {
  bytes_.clear();
  record_at_ = 0;
  records_ = 0;
}

namespace {

struct Segment {
  JournalOffset first = 0;
  JournalOffset end = 0;  // of the valid frames
};

struct RecentBatch {
  JournalOffset first = 0;  // of its frame
  std::unique_ptr<Batch> batch;
  [[nodiscard]] JournalOffset end() const { return first + kFrameHeader + batch->bytes().size(); }
  // What it costs to keep: the batches of a quiet fleet are small, and their own size matters.
  [[nodiscard]] size_t footprint() const {
    constexpr size_t kControlBlock = 32, kAllocations = 3 * 16;
    return sizeof(RecentBatch) + sizeof(Batch) + kControlBlock + kAllocations + batch->capacity();
  }
};
// Shared: the ring of recent batches and the readers that are in the middle of one.
using RecentPtr = std::shared_ptr<RecentBatch>;

class JournalImpl;

class ReaderImpl final : public Journal::Reader {
 public:
  ReaderImpl(JournalImpl& journal, JournalOffset from) : journal_(journal), at_(from) {}
  Result<std::optional<Record>> next() override;
  bool wait(Duration timeout) override;
  void wake() override;

 private:
  Result<bool> load_frame();
  Result<bool> load_frame_from_file();

  JournalImpl& journal_;
  JournalOffset at_;  // of the next record, or of the next frame
  JournalOffset frame_end_ = 0;
  ByteView rest_;     // of the frame being read
  RecentPtr recent_;  // keeps rest_ alive, or
  Bytes frame_;       // does
  std::unique_ptr<File> file_;
  Segment segment_;
  std::atomic<bool> woken_{false};
};

class JournalImpl final : public Journal {
 public:
  JournalImpl(FileSystem& files, Clock& clock, JournalOptions options, Metrics& metrics)
      : files_(files),
        clock_(clock),
        options_(std::move(options)),
        batches_(metrics.counter("penstock_journal_batches_total", "Batches committed")),
        bytes_(metrics.counter("penstock_journal_bytes_total", "Bytes committed")),
        refused_(metrics.counter("penstock_journal_refused_batches_total",
                                 "Batches that could not be made durable")),
        torn_(metrics.counter("penstock_journal_torn_bytes_total",
                              "Bytes of torn tails cut off at start")),
        sync_time_(metrics.histogram("penstock_journal_sync_seconds", "Time of an fdatasync")),
        state_gauge_(metrics.gauge("penstock_journal_state", "0 writing, 1 disk full, 2 failed")) {}

  ~JournalImpl() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Status open();

  void submit(std::unique_ptr<Batch> batch, Committed committed) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back({std::move(batch), std::move(committed)});
    }
    work_.notify_one();
  }
  std::unique_ptr<Batch> make_batch() override {
    const std::lock_guard lock(pool_mutex_);
    if (pool_.empty()) return std::make_unique<Batch>();
    auto batch = std::move(pool_.back());
    pool_.pop_back();
    return batch;
  }
  JournalState state() const override { return state_.load(); }
  std::string state_detail() const override {
    const std::lock_guard lock(recent_mutex_);
    return detail_;
  }
  JournalOffset begin_offset() const override {
    const std::lock_guard lock(recent_mutex_);
    return segments_.begin()->second.first;
  }
  JournalOffset durable_offset() const override { return durable_.load(std::memory_order_acquire); }
  Status trim(JournalOffset keep_from) override;
  Result<std::unique_ptr<Reader>> read_from(JournalOffset from) override {
    if (from < begin_offset() || from > durable_offset())
      return fail(ErrorCode::kInvalidArgument,
                  "the journal does not hold offset " + std::to_string(from));
    return std::make_unique<ReaderImpl>(*this, from);
  }

 private:
  friend class ReaderImpl;
  struct Submitted {
    std::unique_ptr<Batch> batch;
    Committed committed;
  };

  Result<Segment> recover_segment(JournalOffset first, bool newest);
  Status start_segment();
  void run();
  void commit(std::vector<Submitted>& group);
  void refuse_oversized(std::vector<Submitted>& group);
  Status write_group(std::vector<Submitted>& group);
  void give_up_on(const Error& error);
  bool try_to_resume();
  bool drop_unacknowledged_segments();
  void recycle(const RecentPtr& committed);
  void set_state(JournalState state, std::string detail);

  FileSystem& files_;
  Clock& clock_;
  JournalOptions options_;
  Counter &batches_, &bytes_, &refused_, &torn_;
  Histogram& sync_time_;
  Gauge& state_gauge_;

  std::mutex mutex_;  // queue_
  std::condition_variable work_;
  std::vector<Submitted> queue_;
  bool stopping_ = false;

  mutable std::mutex recent_mutex_;  // recent_, segments_, detail_
  std::condition_variable more_;
  std::deque<RecentPtr> recent_;
  size_t recent_bytes_ = 0;
  std::map<JournalOffset, Segment> segments_;
  std::string detail_ = "the journal takes writes";

  std::mutex pool_mutex_;
  std::vector<std::unique_ptr<Batch>> pool_;

  std::atomic<JournalState> state_{JournalState::kWriting};
  std::atomic<JournalOffset> durable_{0};

  // committer only
  std::unique_ptr<File> lock_file_;
  std::unique_ptr<File> file_;
  JournalOffset end_ = 0;  // of what is written
  uint64_t segment_size_ = 0;
  int64_t next_space_check_us_ = 0;
  std::thread thread_;
};

// -- opening and recovery

// What is valid of a segment; a torn tail of the newest one is cut off.
Result<Segment> JournalImpl::recover_segment(JournalOffset first, bool newest) {
  const std::string path = options_.directory + "/" + segment_name(first);
  TRY_ASSIGN(const SegmentScan scan, scan_segment(files_, path, first, newest));
  if (scan.tail == SegmentTail::kDamaged) return tl::unexpected<Error>(damage_error(scan, path));
  if (!newest) return Segment{first, scan.end};
  TRY_ASSIGN(const auto file, files_.open(path, OpenMode::kAppend));
  if (scan.tail == SegmentTail::kUnmade) {  // nothing was acknowledged from it
    SegmentHeader header;
    header.first_offset = first;
    header.crc = header_crc(header);
    TRY(file->truncate(0));
    TRY(file->append(header_bytes(header)));
    torn_.add(scan.file_bytes);
  } else if (scan.tail == SegmentTail::kTorn) {
    const uint64_t torn = scan.file_bytes - scan.valid_bytes();
    log_warning("journal", "cut a torn tail of {} bytes off {}: never acknowledged", torn, path);
    torn_.add(torn);
    TRY(file->truncate(scan.valid_bytes()));
  }
  // After a mere kill the last frames may be in the page cache only. Readers act on them, so they
  // must not vanish in the next crash.
  TRY(file->sync());
  return Segment{first, scan.end};
}

Status JournalImpl::open() {
  TRY(files_.create_directories(options_.directory));
  TRY_ASSIGN(const auto names, files_.list(options_.directory));
  std::vector<JournalOffset> firsts;
  for (const std::string& name : names)
    if (const auto first = parse_segment_name(name)) firsts.push_back(*first);
  for (size_t i = 0; i < firsts.size(); ++i) {
    TRY_ASSIGN(const Segment segment, recover_segment(firsts[i], i + 1 == firsts.size()));
    if (i > 0 && segments_.rbegin()->second.end != segment.first)
      return fail(
          ErrorCode::kCorrupt,
          fmt::format("a part of the journal is missing: {} bytes between offsets {} and {}",
                      segment.first - segments_.rbegin()->second.end,
                      segments_.rbegin()->second.end, segment.first),
          options_.directory);
    segments_[segment.first] = segment;
  }
  if (segments_.empty()) {
    TRY(start_segment());
  } else {
    end_ = segments_.rbegin()->second.end;
    TRY_ASSIGN(file_,
               files_.open(options_.directory + "/" + segment_name(segments_.rbegin()->first),
                           OpenMode::kAppend));
    TRY_ASSIGN(segment_size_, file_->size());
  }
  durable_ = end_;
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "journal");
    run();
  });
  return {};
}

Status JournalImpl::start_segment() {
  const std::string path = options_.directory + "/" + segment_name(end_);
  if (files_.exists(path))
    TRY(files_.remove(path));  // left by an attempt that failed before anything was in it
  TRY_ASSIGN(auto file, files_.open(path, OpenMode::kCreateNew));
  file->preallocate(options_.segment_bytes_max);
  SegmentHeader header;
  header.first_offset = end_;
  header.crc = header_crc(header);
  TRY(file->append(header_bytes(header)));
  TRY(file->sync());
  TRY(files_.sync_directory(options_.directory));
  file_ = std::move(file);
  segment_size_ = kSegmentHeader;
  const std::lock_guard lock(recent_mutex_);
  segments_[end_] = {end_, end_};
  return {};
}

Status JournalImpl::trim(JournalOffset keep_from) {
  while (true) {
    JournalOffset first = 0;
    {
      const std::lock_guard lock(recent_mutex_);
      if (segments_.size() < 2 || std::next(segments_.begin())->second.first > keep_from) return {};
      first = segments_.begin()->first;
      segments_.erase(segments_.begin());
    }
    TRY(files_.remove(options_.directory + "/" + segment_name(first)));
  }
}

// -- committing

void JournalImpl::set_state(JournalState state, std::string detail) {
  state_ = state;
  state_gauge_.set(static_cast<double>(state));
  const std::lock_guard lock(recent_mutex_);
  detail_ = std::move(detail);
}

void JournalImpl::run() {
  std::vector<Submitted> group;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto ready = [&] { return stopping_ || !queue_.empty(); };
      if (state_ == JournalState::kWriting)
        work_.wait(lock, ready);
      else
        work_.wait_for(lock, std::chrono::milliseconds(200), ready);  // space may be back
      if (queue_.empty() && stopping_) return;
      group.swap(queue_);
    }
    if (state_ != JournalState::kWriting && !try_to_resume()) {
      const Status refused = fail(ErrorCode::kUnavailable, state_detail());
      for (Submitted& s : group) {
        refused_.add();
        s.committed(refused, 0, 0);
      }
      group.clear();
      continue;
    }
    refuse_oversized(group);
    if (!group.empty()) commit(group);
    group.clear();
  }
}

void JournalImpl::refuse_oversized(std::vector<Submitted>& group) {
  std::erase_if(group, [&](Submitted& s) {
    const size_t bytes = s.batch->bytes().size();
    if (bytes <= options_.batch_bytes_max) return false;
    refused_.add();
    s.committed(fail(ErrorCode::kInvalidArgument,
                     fmt::format("a batch of {} bytes is larger than the journal takes ({})", bytes,
                                 options_.batch_bytes_max)),
                0, 0);
    return true;
  });
}

Status JournalImpl::write_group(std::vector<Submitted>& group) {
  JournalOffset group_first = end_;
  for (Submitted& s : group) {
    const ByteView body = s.batch->bytes();
    if (segment_size_ > kSegmentHeader &&
        segment_size_ + kFrameHeader + body.size() > options_.segment_bytes_max) {
      TRY(file_->sync());
      {
        const std::lock_guard lock(recent_mutex_);
        segments_.rbegin()->second.end = end_;
      }
      TRY(start_segment());
      group_first = end_;  // what went into the old segment is durable
    }
    FrameHeader header;
    header.body_bytes = static_cast<uint32_t>(body.size());
    header.offset = end_;
    header.records = static_cast<uint32_t>(s.batch->records());
    header.body_crc = crc32c(body);
    header.group_back = static_cast<uint32_t>(std::min<uint64_t>(end_ - group_first, UINT32_MAX));
    header.crc = header_crc(header);
    TRY(file_->append(header_bytes(header)));
    TRY(file_->append(body));
    end_ += kFrameHeader + body.size();
    segment_size_ += kFrameHeader + body.size();
  }
  return {};
}

void JournalImpl::commit(std::vector<Submitted>& group) {
  const JournalOffset before = end_;
  const uint64_t size_before = segment_size_;
  const JournalOffset segment_before = segments_.rbegin()->first;
  Status status;
  const auto space = files_.free_bytes(options_.directory);
  if (space && *space < options_.free_bytes_min)
    status = fail(ErrorCode::kResourceExhausted,
                  "the disk has less free space than journal.free_bytes_min");
  if (status) status = write_group(group);
  if (status) {
    const int64_t start = clock_.monotonic_us();
    status = file_->sync();
    sync_time_.observe_us(static_cast<uint64_t>(clock_.monotonic_us() - start));
    if (!status)
      status.error().code = ErrorCode::kIo;  // whatever it says: nothing may be assumed any more
  }
  if (!status) {
    // Back to where all is durable. If even that fails, only a restart helps.
    end_ = before;
    bool back = status.error().code == ErrorCode::kResourceExhausted &&
                segment_before == segments_.rbegin()->first;
    if (back && segment_size_ != size_before) back = file_->truncate(size_before).has_value();
    if (back) {
      const auto size = file_->size();
      back = size && (*size == size_before || file_->truncate(size_before));
    }
    segment_size_ = size_before;
    give_up_on(back ? status.error()
                    : Error{ErrorCode::kIo, status.error().message, status.error().about});
    for (Submitted& s : group) {
      refused_.add();
      s.committed(status, 0, 0);
    }
    return;
  }
  JournalOffset at = before;
  {
    const std::lock_guard lock(recent_mutex_);
    segments_.rbegin()->second.end = end_;
    for (Submitted& s : group) {
      auto recent = std::make_shared<RecentBatch>();
      recent->first = at;
      recent->batch = std::move(s.batch);
      at = recent->end();
      recent_bytes_ += recent->footprint();
      recent_.push_back(std::move(recent));
    }
    while (recent_bytes_ > options_.recent_bytes_max && recent_.size() > 1) {
      recent_bytes_ -= recent_.front()->footprint();
      recycle(recent_.front());
      recent_.pop_front();
    }
    durable_.store(end_, std::memory_order_release);
  }
  more_.notify_all();
  batches_.add(group.size());
  bytes_.add(end_ - before);
  at = before;
  for (size_t i = 0; i < group.size(); ++i) {
    // The batch has moved to the ring; its place follows from the next one's.
    JournalOffset end = end_;
    {
      const std::lock_guard lock(recent_mutex_);
      const size_t from_back = group.size() - i;
      if (from_back <= recent_.size()) end = recent_[recent_.size() - from_back]->end();
    }
    group[i].committed({}, at, end);
    at = end;
  }
}

void JournalImpl::recycle(const RecentPtr& recent) {
  if (recent.use_count() != 1) return;  // a reader is in it
  // One that a burst has swollen would fill the ring with air.
  constexpr size_t kSwollen = 64 << 10;
  if (recent->batch->capacity() > kSwollen &&
      recent->batch->bytes().size() < recent->batch->capacity() / 8)
    return;
  recent->batch->clear();
  const std::lock_guard lock(pool_mutex_);
  if (pool_.size() < 64) pool_.push_back(std::move(recent->batch));
}

void JournalImpl::give_up_on(const Error& error) {
  if (error.code == ErrorCode::kResourceExhausted) {
    set_state(JournalState::kDiskFull,
              "the journal's disk is full: nothing is acknowledged until there is space (" +
                  error.text() + ")");
  } else {
    set_state(JournalState::kFailed, "the journal could not be written: nothing is acknowledged (" +
                                         error.text() + "); it tries a new segment");
  }
  log_error("journal", "{}", state_detail());
  next_space_check_us_ = clock_.monotonic_us() + 1'000'000;
}

// Segments that a group began before it failed hold nothing that was acknowledged. They go first,
// durably: were the one before cut while they stay, a crash would leave a gap.
bool JournalImpl::drop_unacknowledged_segments() {
  while (segments_.rbegin()->first > durable_) {
    const std::string path = options_.directory + "/" + segment_name(segments_.rbegin()->first);
    if (files_.exists(path) && !files_.remove(path)) return false;
    const std::lock_guard lock(recent_mutex_);
    segments_.erase(std::prev(segments_.end()));
  }
  return files_.sync_directory(options_.directory).has_value();
}

// Disk full: writing again is safe once there is space, the file ends where the last durable frame
// does. Failed: the file is not trusted again. What is durable is read back from the disk, and a
// new segment takes over.
bool JournalImpl::try_to_resume() {
  if (clock_.monotonic_us() < next_space_check_us_) return false;
  next_space_check_us_ = clock_.monotonic_us() + 1'000'000;
  const auto space = files_.free_bytes(options_.directory);
  if (space && *space < options_.free_bytes_min) return false;
  if (state_ == JournalState::kFailed) {
    file_.reset();
    if (!drop_unacknowledged_segments()) return false;
    const JournalOffset last = segments_.rbegin()->first;
    const auto segment = recover_segment(last, true);
    if (!segment || segment->end < durable_) {
      log_error("journal",
                "what was durable cannot be read back: only a restart after repair helps");
      return false;
    }
    // Frames behind durable_ were never acknowledged; cut them, so that the next segment joins
    // without a gap.
    auto file = files_.open(options_.directory + "/" + segment_name(last), OpenMode::kAppend);
    if (!file || !(*file)->truncate(kSegmentHeader + durable_ - last) || !(*file)->sync())
      return false;
    {
      const std::lock_guard lock(recent_mutex_);
      segments_.rbegin()->second.end = durable_;
    }
    end_ = durable_;
    if (end_ == last) {  // the segment is empty: go on in it
      file_ = std::move(*file);
      segment_size_ = kSegmentHeader;
    } else if (!start_segment()) {
      return false;
    }
  }
  set_state(JournalState::kWriting, "the journal takes writes");
  log_info("journal", "takes writes again");
  return true;
}

// -- reading

Result<bool> ReaderImpl::load_frame() {
  recent_.reset();
  rest_ = {};
  if (at_ >= journal_.durable_offset()) return false;
  {
    const std::lock_guard lock(journal_.recent_mutex_);
    const auto it =
        std::upper_bound(journal_.recent_.begin(), journal_.recent_.end(), at_,
                         [](JournalOffset at, const RecentPtr& b) { return at < b->first; });
    if (it != journal_.recent_.begin()) {
      const RecentPtr& found = *std::prev(it);
      if (at_ < found->end()) {
        recent_ = found;
        const JournalOffset skip = at_ == found->first ? 0 : at_ - found->first - kFrameHeader;
        rest_ = found->batch->bytes().subspan(skip);
        at_ = std::max(at_, found->first + kFrameHeader);
        frame_end_ = found->end();
        return true;
      }
    }
  }
  return load_frame_from_file();
}

Result<bool> ReaderImpl::load_frame_from_file() {
  if (!file_ || at_ < segment_.first || at_ >= segment_.end) {
    {
      const std::lock_guard lock(journal_.recent_mutex_);
      auto it = journal_.segments_.upper_bound(at_);
      if (it == journal_.segments_.begin())
        return fail(ErrorCode::kNotFound,
                    "the journal was trimmed past offset " + std::to_string(at_));
      segment_ = std::prev(it)->second;
    }
    TRY_ASSIGN(file_, journal_.files_.open(
                          journal_.options_.directory + "/" + segment_name(segment_.first),
                          OpenMode::kRead));
  }
  // A reader that starts in the middle of a frame finds that frame by walking the headers.
  JournalOffset look = frame_end_ != 0 && frame_end_ == at_ ? at_ : segment_.first;
  while (true) {
    FrameHeader frame;
    TRY(file_->read_at(kSegmentHeader + (look - segment_.first),
                       std::as_writable_bytes(std::span(&frame, 1))));
    if (frame.magic != kFrameMagic || frame.crc != header_crc(frame) || frame.offset != look)
      return fail(ErrorCode::kCorrupt, fmt::format("the journal is damaged at offset {}", look));
    const JournalOffset end = look + kFrameHeader + frame.body_bytes;
    if (at_ >= end) {
      look = end;
      continue;
    }
    frame_.resize(frame.body_bytes);
    TRY(file_->read_at(kSegmentHeader + (look - segment_.first) + kFrameHeader, frame_));
    if (crc32c(frame_) != frame.body_crc)
      return fail(ErrorCode::kCorrupt,
                  fmt::format("the journal is damaged in the frame at offset {}", look));
    const JournalOffset skip = at_ <= look + kFrameHeader ? 0 : at_ - look - kFrameHeader;
    rest_ = ByteView(frame_).subspan(skip);
    at_ = std::max(at_, look + kFrameHeader);
    frame_end_ = end;
    return true;
  }
}

Result<std::optional<Journal::Reader::Record>> ReaderImpl::next() {
  if (rest_.empty()) {
    TRY_ASSIGN(const bool more, load_frame());
    if (!more) return std::nullopt;
  }
  const auto raw = take_record(rest_);
  if (!raw) return fail(ErrorCode::kCorrupt, "a journal record ends early");
  Record record{raw->type, at_ + raw->bytes, raw->body};
  at_ += raw->bytes;
  return record;
}

bool ReaderImpl::wait(Duration timeout) {
  if (!rest_.empty()) return true;
  std::unique_lock lock(journal_.recent_mutex_);
  journal_.more_.wait_for(lock, std::chrono::microseconds(timeout.us),
                          [&] { return woken_.load() || at_ < journal_.durable_offset(); });
  woken_ = false;
  return at_ < journal_.durable_offset();
}

void ReaderImpl::wake() {
  {
    const std::lock_guard lock(journal_.recent_mutex_);
    woken_ = true;
  }
  journal_.more_.notify_all();
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(FileSystem& files, Clock& clock,
                                               JournalOptions options, Metrics& metrics) {
  auto journal = std::make_unique<JournalImpl>(files, clock, std::move(options), metrics);
  TRY(journal->open());
  return journal;
}

}  // namespace penstock::stream
