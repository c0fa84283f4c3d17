#include "stream/rebind.h"

#include <algorithm>
#include <map>

#include <pthread.h>

#include "base/log.h"

namespace penstock::stream {
namespace {

constexpr store::Migration kMigrations[] = {
    {1, "re-binding jobs", R"sql(
CREATE TABLE rebind_job (
  organisation_id BIGINT NOT NULL,
  id              BIGINT NOT NULL PRIMARY KEY,
  device          TEXT NOT NULL,
  asked_by        TEXT NOT NULL,
  kind            INTEGER NOT NULL,
  state           INTEGER NOT NULL,
  from_offset     BIGINT NOT NULL,
  next_offset     BIGINT NOT NULL,
  to_offset       BIGINT NOT NULL,
  messages        BIGINT NOT NULL,
  samples         BIGINT NOT NULL,
  refused         BIGINT NOT NULL,
  reason          TEXT NOT NULL,
  oldest          BIGINT NOT NULL,
  last_received   BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  finished_at     BIGINT NOT NULL)
)sql"},
};

bool active(const RebindJob& job) {
  return job.state == RebindState::kWaiting || job.state == RebindState::kRunning;
}

}  // namespace

std::string_view name(RebindKind kind) {
  return kind == RebindKind::kDiscovery ? "discovery" : "dead_letters";
}

std::string_view name(RebindState state) {
  switch (state) {
    case RebindState::kWaiting:
      return "waiting";
    case RebindState::kRunning:
      return "running";
    case RebindState::kDone:
      return "done";
    case RebindState::kCancelled:
      return "cancelled";
    case RebindState::kFailed:
      break;
  }
  return "failed";
}

Rebinder::Rebinder(store::Registry& registry, Pipeline& pipeline, Clock& clock, Metrics& metrics,
                   RebindOptions options)
    : registry_(registry),
      pipeline_(pipeline),
      clock_(clock),
      options_(options),
      messages_(metrics.counter("penstock_rebind_messages_total", "Messages read again")),
      samples_(metrics.counter("penstock_rebind_samples_total", "Samples that came of them")) {}

Result<std::unique_ptr<Rebinder>> Rebinder::open(store::Registry& registry, Pipeline& pipeline,
                                                 Clock& clock, Metrics& metrics,
                                                 RebindOptions options) {
  TRY(registry.migrate("rebind", kMigrations));
  std::unique_ptr<Rebinder> made(new Rebinder(registry, pipeline, clock, metrics, options));
  TRY(made->load());
  return made;
}

Rebinder::~Rebinder() { stop(); }

Status Rebinder::load() {
  return registry_.read([&](store::Session& session) -> Status {
    return session.each<OrganisationId, int64_t, std::string, std::string, int64_t, int64_t,
                        int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, std::string,
                        Timestamp, Timestamp, Timestamp, Timestamp>(
        [&](OrganisationId organisation, int64_t id, std::string device, std::string by,
            int64_t kind, int64_t state, int64_t from, int64_t next, int64_t to, int64_t messages,
            int64_t samples, int64_t refused, std::string reason, Timestamp oldest,
            Timestamp last_received, Timestamp created_at, Timestamp finished_at) {
          RebindJob job;
          job.id = static_cast<uint64_t>(id);
          job.organisation = organisation;
          job.device = std::move(device);
          job.by = std::move(by);
          job.kind = static_cast<RebindKind>(kind);
          job.state = static_cast<RebindState>(state);
          if (job.state == RebindState::kRunning) job.state = RebindState::kWaiting;
          job.from = static_cast<JournalOffset>(from);
          job.next = static_cast<JournalOffset>(next);
          job.to = static_cast<JournalOffset>(to);
          job.messages = static_cast<uint64_t>(messages);
          job.samples = static_cast<uint64_t>(samples);
          job.refused = static_cast<uint64_t>(refused);
          job.reason = std::move(reason);
          job.oldest = oldest;
          job.last_received = last_received;
          job.created_at = created_at;
          job.finished_at = finished_at;
          jobs_.push_back(std::move(job));
        },
        "SELECT organisation_id, id, device, asked_by, kind, state, from_offset, next_offset, "
        "to_offset, messages, samples, refused, reason, oldest, last_received, created_at, "
        "finished_at FROM rebind_job ORDER BY id");
  });
}

Status Rebinder::store(const std::vector<RebindJob>& jobs) {
  return registry_.write([&](store::Session& session) -> Status {
    for (const RebindJob& job : jobs)
      TRY(session.run(
          "UPDATE rebind_job SET state = ?, next_offset = ?, to_offset = ?, messages = ?, samples "
          "= ?, refused = ?, reason = ?, oldest = ?, last_received = ?, finished_at = ? WHERE id = "
          "?",
          static_cast<int64_t>(job.state), static_cast<int64_t>(job.next),
          static_cast<int64_t>(job.to), static_cast<int64_t>(job.messages),
          static_cast<int64_t>(job.samples), static_cast<int64_t>(job.refused), job.reason,
          job.oldest, job.last_received, job.finished_at, static_cast<int64_t>(job.id)));
    return {};
  });
}

void Rebinder::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "rebind");
    run();
  });
}

void Rebinder::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

JournalOffset Rebinder::needed_from() const {
  const std::lock_guard lock(mutex_);
  JournalOffset from = UINT64_MAX;
  for (const RebindJob& job : jobs_)
    if (active(job)) from = std::min(from, job.next);
  return from;
}

// -- what people ask

Result<RebindJob> Rebinder::start_rebind(OrganisationId organisation, std::string_view device,
                                         RebindKind kind, JournalOffset from, std::string_view by) {
  RebindJob job;
  job.organisation = organisation;
  job.device = device;
  job.kind = kind;
  job.by = by;
  job.created_at = clock_.now();
  job.from = job.next = std::max(from, pipeline_.journal().begin_offset());
  const std::unique_lock lock(mutex_);
  size_t waiting = 0;
  for (const RebindJob& other : jobs_) {
    if (!active(other)) continue;
    ++waiting;
    if (other.organisation == organisation && other.device == device && other.kind == kind)
      return fail(ErrorCode::kConflict, "the same is being read again already", job.device);
  }
  if (waiting >= options_.waiting_max)
    return fail(ErrorCode::kResourceExhausted, "too many jobs wait: let them end first");
  const auto id = registry_.write([&](store::Session& session) -> Result<int64_t> {
    TRY_ASSIGN(const int64_t fresh, session.next_id("rebind_job"));
    TRY(session.run(
        "INSERT INTO rebind_job (organisation_id, id, device, asked_by, kind, state, from_offset, "
        "next_offset, to_offset, messages, samples, refused, reason, oldest, last_received, "
        "created_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, '', 0, 0, ?, 0)",
        organisation, fresh, job.device, job.by, static_cast<int64_t>(kind),
        static_cast<int64_t>(job.state), static_cast<int64_t>(job.from),
        static_cast<int64_t>(job.next), job.created_at));
    TRY(session.run("DELETE FROM rebind_job WHERE finished_at > 0 AND id <= ?",
                    fresh - static_cast<int64_t>(options_.finished_max)));
    return fresh;
  });
  if (!id) return fail(id.error());
  job.id = static_cast<uint64_t>(*id);
  std::erase_if(jobs_, [&](const RebindJob& old) {
    return !active(old) && old.id + options_.finished_max <= job.id;
  });
  jobs_.push_back(job);
  changed_.notify_all();
  return job;
}

std::vector<RebindJob> Rebinder::rebind_jobs(OrganisationId organisation, std::string_view device) {
  const std::lock_guard lock(mutex_);
  std::vector<RebindJob> out;
  for (auto at = jobs_.rbegin(); at != jobs_.rend(); ++at)
    if (at->organisation == organisation && (device.empty() || at->device == device))
      out.push_back(*at);
  return out;
}

Result<RebindJob> Rebinder::rebind_job(OrganisationId organisation, uint64_t id) {
  const std::lock_guard lock(mutex_);
  for (const RebindJob& job : jobs_)
    if (job.id == id && job.organisation == organisation) return job;
  return fail(ErrorCode::kNotFound, "there is no such job");
}

Status Rebinder::cancel_rebind(OrganisationId organisation, uint64_t id) {
  const std::lock_guard lock(mutex_);
  for (RebindJob& job : jobs_) {
    if (job.id != id || job.organisation != organisation) continue;
    if (!active(job)) return fail(ErrorCode::kConflict, "the job is over");
    RebindJob changed = job;
    changed.state = RebindState::kCancelled;
    changed.finished_at = clock_.now();
    TRY(store({changed}));
    job = changed;
    return {};
  }
  return fail(ErrorCode::kNotFound, "there is no such job");
}

// -- the work

void Rebinder::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<RebindJob> waiting;
    for (RebindJob& job : jobs_)
      if (job.state == RebindState::kWaiting) {
        job.state = RebindState::kRunning;
        waiting.push_back(job);
      }
    if (waiting.empty()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    run_jobs(std::move(waiting));
    lock.lock();
  }
}

void Rebinder::run_jobs(std::vector<RebindJob> jobs) {
  Status outcome = wait_for_shards(jobs);
  if (outcome) {
    for (RebindJob& job : jobs) job.to = pipeline_.journal().durable_offset();
    outcome = read_journal(jobs);
  }
  finish(jobs, outcome);
}

Result<std::vector<Receipt>> Rebinder::submit(std::vector<Intake> intakes) {
  struct Wait {  // shared: a shard may answer after we were told to stop
    std::mutex mutex;
    std::condition_variable ready;
    std::vector<Receipt> receipts;
    bool done = false;
  };
  const auto wait = std::make_shared<Wait>();
  pipeline_.submit(std::move(intakes), [wait](std::vector<Receipt> receipts) {
    const std::lock_guard lock(wait->mutex);
    wait->receipts = std::move(receipts);
    wait->done = true;
    wait->ready.notify_one();
  });
  std::unique_lock lock(wait->mutex);
  while (!wait->ready.wait_for(lock, std::chrono::milliseconds(200), [&] { return wait->done; })) {
    const std::lock_guard stop_lock(mutex_);
    if (stopping_) return fail(ErrorCode::kCancelled, "the server stops");
  }
  for (const Receipt& receipt : wait->receipts)
    if (!receipt.durable)
      return fail(ErrorCode::kUnavailable, "the journal does not take writes: see the health page");
  return std::move(wait->receipts);
}

Status Rebinder::wait_for_shards(const std::vector<RebindJob>& jobs) {
  // A message without values for each device: its shard has taken the configuration before it, and
  // answers once all that went before is durable.
  std::vector<Intake> intakes;
  for (const RebindJob& job : jobs) {
    Intake intake;
    intake.sender = job.organisation;
    intake.device = job.device;
    intake.history_only = true;
    intakes.push_back(std::move(intake));
  }
  TRY(submit(std::move(intakes)));
  return {};
}

Status Rebinder::read_journal(std::vector<RebindJob>& jobs) {
  std::map<std::tuple<OrganisationId, RebindKind, std::string>, size_t> wanted;
  JournalOffset at = UINT64_MAX, end = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    wanted[{jobs[i].organisation, jobs[i].kind, jobs[i].device}] = i;
    at = std::min(at, jobs[i].next);
    end = std::max(end, jobs[i].to);
  }
  at = std::max(at, pipeline_.journal().begin_offset());
  TRY_ASSIGN(const auto reader, pipeline_.journal().read_from(at));
  std::vector<Intake> intakes;
  std::vector<size_t> owners;
  size_t bytes = 0, records = 0;
  while (at < end) {
    TRY_ASSIGN(const auto record, reader->next());
    if (!record) break;
    const JournalOffset here = std::exchange(at, record->next);
    const bool raw_record =
        record->type == RecordType::kDiscovery || record->type == RecordType::kDeadLetter;
    if (const auto raw = raw_record ? decode_raw(record->body) : std::nullopt) {
      const auto kind = record->type == RecordType::kDiscovery ? RebindKind::kDiscovery
                                                               : RebindKind::kDeadLetters;
      const auto found = wanted.find({raw->organisation, kind, std::string(raw->device)});
      if (found != wanted.end() && here >= jobs[found->second].next &&
          here < jobs[found->second].to) {
        RebindJob& job = jobs[found->second];
        ++job.messages;
        if (job.oldest.us == 0) job.oldest = raw->received;
        Intake intake;
        intake.sender = raw->organisation;
        intake.device = raw->device;
        intake.topic = raw->topic;
        intake.payload = raw->payload;
        intake.history_only = true;
        // Several messages of one turn were kept with one time; each needs its own.
        intake.received = kind == RebindKind::kDeadLetters
                              ? raw->received
                              : std::max(raw->received, job.last_received + Duration::micros(1));
        job.last_received = intake.received;
        bytes += intake.bytes();
        if (raw->payload.size() >= options_.payload_bytes_max) {
          ++job.refused;
          job.reason = "the journal kept only the beginning of a long message";
        } else {
          intakes.push_back(std::move(intake));
          owners.push_back(found->second);
        }
      }
    }
    const bool full =
        intakes.size() >= options_.batch_messages_max || bytes >= options_.batch_bytes_max;
    if (!full && (++records & 0xffff) != 0) continue;
    TRY(flush(jobs, intakes, owners));
    bytes = 0;
    for (RebindJob& job : jobs) job.next = std::max(job.next, std::min(at, job.to));
    share(jobs);
    TRY(store(jobs));
  }
  TRY(flush(jobs, intakes, owners));
  for (RebindJob& job : jobs) job.next = std::max(job.next, job.to);
  return {};
}

Status Rebinder::flush(std::vector<RebindJob>& jobs, std::vector<Intake>& intakes,
                       std::vector<size_t>& owners) {
  if (intakes.empty()) return {};
  messages_.add(intakes.size());
  TRY_ASSIGN(const auto receipts, submit(std::exchange(intakes, {})));
  for (size_t i = 0; i < receipts.size(); ++i) {
    RebindJob& job = jobs[owners[i]];
    job.samples += receipts[i].accepted;
    samples_.add(receipts[i].accepted);
    job.refused += receipts[i].rejected;
    if (!receipts[i].known) {
      ++job.refused;
      job.reason = "the device is not registered any more";
    } else if (!receipts[i].reason.empty()) {
      job.reason = receipts[i].reason;
    }
  }
  owners.clear();
  return {};
}

void Rebinder::share(std::vector<RebindJob>& jobs) {
  const std::lock_guard lock(mutex_);
  for (RebindJob& job : jobs)
    for (RebindJob& known : jobs_) {
      if (known.id != job.id) continue;
      if (known.state == RebindState::kCancelled) {
        job.state = known.state;
        job.finished_at = known.finished_at;
        job.to = job.next;  // nothing further of it
      }
      known = job;
    }
}

void Rebinder::finish(std::vector<RebindJob>& jobs, const Status& outcome) {
  share(jobs);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ && !outcome) return;  // the next start goes on
  }
  for (RebindJob& job : jobs) {
    if (job.state == RebindState::kCancelled) continue;
    job.state = outcome ? RebindState::kDone : RebindState::kFailed;
    if (!outcome) job.reason = outcome.error().text();
    job.finished_at = clock_.now();
    // The view may have seen the last of its messages after the person accepted it.
    if (outcome && job.kind == RebindKind::kDiscovery)
      if (const Status gone = pipeline_.raw_views().dismiss(job.organisation, job.device);
          !gone && gone.error().code != ErrorCode::kNotFound)
        log_warning("rebind", "{}", gone.error().text());
    log_info("rebind", "{}: {} messages of the journal, {} samples, {} values refused", job.device,
             job.messages, job.samples, job.refused);
  }
  if (const Status stored = store(jobs); !stored)
    log_warning("rebind", "the outcome was not stored: {}", stored.error().text());
  share(jobs);
}

}  // namespace penstock::stream
