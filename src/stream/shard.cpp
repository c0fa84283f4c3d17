#include "stream/shard.h"

#include <chrono>

#include <pthread.h>

#include "base/check.h"
#include "base/log.h"
#include "twin/binding.h"

namespace penstock::stream {

uint32_t shard_of(std::string_view name, uint32_t shards) {
  if (shards <= 1) return 0;
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a; stable, because checkpoints are read back by it
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  // Names differ in their last digits, which FNV hardly carries upwards: mix (MurmurHash3, fmix64).
  hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
  hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
  return static_cast<uint32_t>((hash >> 32) % shards);
}

size_t Stations::name(const std::string& station) {
  seconds_.push_back(0);
  gauges_.push_back(&metrics_.gauge("penstock_station_seconds",
                                    "CPU seconds of the shards' threads by station, sampled",
                                    {{"station", station}, {"shard", std::to_string(shard_)}}));
  return seconds_.size() - 1;
}

int64_t Stations::now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Stations::publish() {
  for (size_t i = 0; i < gauges_.size(); ++i) gauges_[i]->set(seconds_[i]);
}

IngestMetrics::IngestMetrics(Metrics& m)
    : messages(m.counter("penstock_messages_total", "Messages of registered devices")),
      samples(m.counter("penstock_samples_total", "Samples accepted")),
      dead_letters(m.counter("penstock_dead_letters_total", "Messages kept as dead letters")),
      discovered(
          m.counter("penstock_discovered_messages_total", "Messages of unregistered devices")),
      forwarded(m.counter("penstock_forwarded_messages_total",
                          "Messages handed to the shard of their device")),
      unbound(m.counter("penstock_unbound_values_total",
                        "Values whose address a binding leaves out on purpose")),
      suppressed(m.counter("penstock_suppressed_values_total",
                           "Values within the deadband that a binding sets")) {
  for (size_t i = 0; i < kRejects; ++i)
    rejected[i] = &m.counter("penstock_rejected_values_total", "Values that did not become samples",
                             {{"reason", std::string(name(static_cast<Reject>(i)))}});
}

// Collects what the evaluators conclude from one message. It joins the batch after that message's
// samples, once they are done with them.
class Shard::BatchSink final : public SignalSink {
 public:
  explicit BatchSink(Shard& shard) : shard_(shard) {}
  BatchSink(const BatchSink&) = delete;
  BatchSink& operator=(const BatchSink&) = delete;
  ~BatchSink() override {
    if (ends_.empty()) return;
    shard_.flush_samples();
    size_t first = 0;
    for (const size_t end : ends_) {
      shard_.batch_->append(RecordType::kSignal,
                            ByteView(shard_.scratch_).subspan(first, end - first));
      first = end;
    }
    ends_.clear();
  }
  void emit(const Signal& signal) override {
    if (ends_.empty()) shard_.scratch_.clear();
    encode_signal(shard_.scratch_, signal);
    ends_.push_back(shard_.scratch_.size());
  }

 private:
  Shard& shard_;
  std::vector<size_t>& ends_ = shard_.signal_ends_;
};

Shard::Shard(ShardOptions options, Journal& journal, Clock& clock, Net& net, IngestMetrics& metrics,
             Metrics& all_metrics)
    : options_(options),
      journal_(journal),
      clock_(clock),
      metrics_(metrics),
      reactor_(net),
      stations_(all_metrics, options.index),
      decode_station_(stations_.name("decode and validate")),
      live_station_(stations_.name("live values")),
      batch_station_(stations_.name("journal batch")),
      decoder_(options.decode),
      now_(clock.now()),
      monotonic_us_(clock.monotonic_us()),
      batch_(journal.make_batch()) {
  group_ = take_group();
}

Shard::~Shard() { stop(); }

void Shard::add_evaluator(std::unique_ptr<Evaluator> evaluator) {
  evaluator_stations_.push_back(stations_.name(evaluator->name()));
  evaluators_.push_back(std::move(evaluator));
}

uint8_t Shard::add_endpoint(Endpoint* endpoint) {
  CHECK(endpoints_.size() < 255);
  endpoints_.push_back(endpoint);
  return static_cast<uint8_t>(endpoints_.size() - 1);
}

void Shard::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("shard-" + std::to_string(options_.index)).c_str());
    run();
  });
}

void Shard::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  post([] {});
  thread_.join();
}

void Shard::run() {
  while (!stopping_) {
    const int64_t left_us = next_tick_us_ - monotonic_us_;
    turn(left_us <= 0 ? 0 : static_cast<int>(left_us / 1000 + 1));
  }
  // Let the acknowledgements of what is submitted go out before the sockets close.
  const int64_t give_up_us = clock_.monotonic_us() + 1'000'000;
  while ((!in_flight_.empty() || !batch_->empty()) && clock_.monotonic_us() < give_up_us) turn(10);
  for (auto endpoint = endpoints_.rbegin(); endpoint != endpoints_.rend(); ++endpoint)
    (*endpoint)->on_stop();
}

void Shard::turn(int timeout_ms) {
  now_ = clock_.now();
  monotonic_us_ = clock_.monotonic_us();
  reactor_.poll(timeout_ms);
  now_ = clock_.now();  // after the wait: ticks and timers want the present
  monotonic_us_ = clock_.monotonic_us();
  if (monotonic_us_ >= next_tick_us_ && !paused_) {
    next_tick_us_ = monotonic_us_ + 100'000;
    for (Endpoint* endpoint : endpoints_) endpoint->on_tick();
    if (monotonic_us_ >= next_second_us_) {
      next_second_us_ = monotonic_us_ + 1'000'000;
      BatchSink sink(*this);
      for (auto& evaluator : evaluators_) evaluator->on_tick(now_, sink);
    }
    publish_counts();
  }
  if (!turn_.samples.empty()) {
    const int64_t begin_ns = Stations::now_ns();
    flush_samples();
    stations_.add(batch_station_, Stations::now_ns() - begin_ns);
  }
  submit();
  for (Endpoint* endpoint : endpoints_) endpoint->on_turn_end();
}

void Shard::pause(bool paused) {
  paused_ = paused;
  reactor_.pause_sockets(paused);
}

bool Shard::idle() const {
  return in_flight_.empty() && batch_->empty() && turn_.samples.empty() && group_->acks.empty() &&
         group_->callbacks.empty() && group_->foreign == 0;
}

void Shard::publish_counts() {
  stations_.publish();
  metrics_.messages.add(counts_.messages);
  metrics_.samples.add(counts_.samples);
  metrics_.dead_letters.add(counts_.dead_letters);
  metrics_.discovered.add(counts_.discovered);
  metrics_.forwarded.add(counts_.forwarded);
  metrics_.unbound.add(counts_.unbound);
  metrics_.suppressed.add(counts_.suppressed);
  for (size_t i = 1; i < kRejects; ++i) metrics_.rejected[i]->add(counts_.rejected[i]);
  counts_ = {};
}

// -- the batch and who waits for it

std::unique_ptr<Shard::Group> Shard::take_group() {
  if (spare_groups_.empty()) {
    auto group = std::make_unique<Group>();
    group->shard = this;
    return group;
  }
  auto group = std::move(spare_groups_.back());
  spare_groups_.pop_back();
  return group;
}

void Shard::append_record(RecordType type, ByteView body) {
  flush_samples();  // records keep the order in which things happened
  batch_->append(type, body);
}

void Shard::flush_samples() {
  if (turn_.samples.empty()) return;
  batch_->begin(RecordType::kSamples);
  encode_samples(batch_->body(), {turn_.samples, turn_.text});
  batch_->end();
  turn_.clear();
}

void Shard::submit() {
  const bool nobody_waits =
      group_->acks.empty() && group_->callbacks.empty() && group_->foreign == 0;
  if (batch_->empty() && nobody_waits) return;
  if (unsettled_ >= kInFlightMax) return;  // this turn's records join the next batch: group commit
  Group* group = group_.get();
  in_flight_.push_back(std::move(group_));
  group_ = take_group();
  if (batch_->empty()) {  // nothing of its own to write; only the order matters
    settled(*group);
    return;
  }
  auto next = journal_.make_batch();
  group->bytes = batch_->bytes().size();
  in_flight_bytes_ += group->bytes;
  ++unsettled_;
  // Captures one pointer: std::function keeps it without allocating.
  journal_.submit(std::exchange(batch_, std::move(next)),
                  [group](const Status& status, JournalOffset, JournalOffset) {
                    if (!status) group->ok = false;
                    group->shard->post([group] {
                      --group->shard->unsettled_;
                      group->shard->settled(*group);
                    });
                  });
}

// Its batch is on disk, or could not be put there.
void Shard::settled(Group& group) {
  group.settled = true;
  for (const auto& ticket : group.tickets) ticket->complete(group.ok);
  group.tickets.clear();
  release();
}

// Each endpoint gets its own, in their order.
void Shard::tell_durable(std::span<const DurableAck> acks, bool ok) {
  while (!acks.empty()) {
    const uint8_t owner = acks.front().endpoint;
    size_t count = 1;
    while (count < acks.size() && acks[count].endpoint == owner) ++count;
    if (owner < endpoints_.size()) endpoints_[owner]->on_durable(acks.first(count), ok);
    acks = acks.subspan(count);
  }
}

void Shard::release() {
  while (!in_flight_.empty() && in_flight_.front()->settled && in_flight_.front()->foreign == 0) {
    auto group = std::move(in_flight_.front());
    in_flight_.pop_front();
    in_flight_bytes_ -= std::exchange(group->bytes, 0);
    tell_durable(group->acks, group->ok);
    for (auto& callback : group->callbacks) callback(group->ok);
    group->acks.clear();
    group->callbacks.clear();
    group->settled = false;
    group->ok = true;
    spare_groups_.push_back(std::move(group));
  }
}

// -- devices

void Shard::configure(std::shared_ptr<const twin::DeviceConfig> config) {
  auto& state = devices_[config->device];
  if (!state) state = std::make_unique<DeviceState>();
  for (const auto& element : config->elements) by_series_[element.series.value] = state.get();
  state->reconfigure(std::move(config));
}

void Shard::forget(std::string_view device) {
  const auto it = devices_.find(device);
  if (it == devices_.end()) return;
  for (const auto& element : it->second->config->elements) by_series_.erase(element.series.value);
  devices_.erase(it);
}

const DeviceState* Shard::find(std::string_view device) const {
  const auto it = devices_.find(device);
  return it == devices_.end() ? nullptr : it->second.get();
}

void Shard::visit_devices(const std::function<void(const DeviceState&)>& visit) const {
  for (const auto& [name, state] : devices_) visit(*state);
}

void Shard::presence(std::string_view device, bool connected, std::string_view client_id,
                     std::string_view detail) {
  const uint32_t owner = shard_of(device, options_.count);
  if (owner != options_.index && owner < siblings_.size()) {
    Shard* shard = siblings_[owner];
    shard->post([shard, name = std::string(device), connected, client = std::string(client_id),
                 why = std::string(detail)] { shard->presence(name, connected, client, why); });
    return;
  }
  const auto it = devices_.find(device);
  if (it == devices_.end()) return;
  DeviceState& state = *it->second;
  if (connected) {
    ++state.connections;
    state.connected_at = now_;
    state.client_id = client_id;
    state.address = detail;
    return;
  }
  if (state.connections > 0) --state.connections;
  state.disconnect_reason = detail;
}

// -- ingest

void Shard::ingest(OrganisationId sender, std::string_view device, std::string_view topic,
                   std::string_view payload) {
  ingest_from(Arrival::kDeviceTopic, sender, device, topic, payload);
}

void Shard::ingest_bound(OrganisationId sender, std::string_view device, std::string_view topic,
                         std::string_view payload, bool joining) {
  ingest_from(joining ? Arrival::kBoundTopicJoining : Arrival::kBoundTopic, sender, device, topic,
              payload);
}

void Shard::ingest_from(Arrival arrival, OrganisationId sender, std::string_view device,
                        std::string_view topic, std::string_view payload) {
  const uint32_t owner = shard_of(device, options_.count);
  if (owner == options_.index || owner >= siblings_.size()) {
    ingest_here(arrival, sender, device, topic, payload);
    return;
  }
  forward(owner, [arrival, sender, device = std::string(device), topic = std::string(topic),
                  payload = std::string(payload)](Shard& there) {
    there.ingest_here(arrival, sender, device, topic, payload);
  });
}

void Shard::report(const Report& report) {
  const uint32_t owner = shard_of(report.device, options_.count);
  if (owner == options_.index || owner >= siblings_.size()) {
    report_here(report);
    return;
  }
  forward(owner, [kept = std::make_shared<const OwnedReport>(report)](Shard& there) {
    there.report_here(kept->view());
  });
}

void Shard::lost(OrganisationId sender, std::string_view device, Timestamp when) {
  const uint32_t owner = shard_of(device, options_.count);
  if (owner == options_.index || owner >= siblings_.size()) {
    lost_here(sender, device, when);
    return;
  }
  forward(owner, [sender, device = std::string(device), when](Shard& there) {
    there.lost_here(sender, device, when);
  });
}

void Shard::refuse(OrganisationId sender, std::string_view device, std::string_view topic,
                   std::string_view payload, std::string_view reason) {
  const uint32_t owner = shard_of(device, options_.count);
  if (device.empty() || owner == options_.index || owner >= siblings_.size()) {
    refuse_here(sender, device, topic, payload, reason);
    return;
  }
  forward(owner, [sender, device = std::string(device), topic = std::string(topic),
                  payload = std::string(payload), reason = std::string(reason)](Shard& there) {
    there.refuse_here(sender, device, topic, payload, reason);
  });
}

void Shard::refuse_here(OrganisationId sender, std::string_view device, std::string_view topic,
                        std::string_view payload, std::string_view reason) {
  ++counts_.dead_letters;
  if (DeviceState* state = known(sender, device)) {
    ++state->rejected;
    state->last_rejection = reason;
  }
  keep_raw(RecordType::kDeadLetter, now_, sender, device, topic, payload, reason);
}

// A gateway speaks for devices of other shards: the message goes to its owner, and what this turn
// acknowledges waits until the owner's batch is durable.
void Shard::forward(uint32_t owner_index, std::function<void(Shard& owner)> work) {
  ++counts_.forwarded;
  ++group_->foreign;
  if (ticket_) ++ticket_->pending;
  Group* group = group_.get();
  Shard* owner = siblings_[owner_index];
  owner->post([this, owner, group, work = std::move(work), parent = ticket_] {
    owner->run_forwarded(work, [this, group, parent](bool ok) {
      post([this, group, parent, ok] {
        group->ok = group->ok && ok;
        --group->foreign;
        if (parent) parent->complete(ok);
        release();
      });
    });
  });
}

void Shard::run_forwarded(const std::function<void(Shard& owner)>& work,
                          std::function<void(bool ok)> done) {
  ticket_ = std::make_shared<Ticket>();
  ticket_->done = std::move(done);
  work(*this);
  group_->tickets.push_back(std::exchange(ticket_, nullptr));
}

void Shard::run_on(uint32_t owner, std::function<void(Shard& owner)> work) {
  if (owner == options_.index || owner >= siblings_.size())
    work(*this);
  else
    forward(owner, std::move(work));
}

void Shard::keep_raw(RecordType type, Timestamp received, OrganisationId organisation,
                     std::string_view device, std::string_view topic, std::string_view payload,
                     std::string_view reason) {
  scratch_.clear();
  encode_raw(scratch_, {received, organisation, device, topic,
                        payload.substr(0, options_.kept_payload_bytes_max), reason});
  append_record(type, scratch_);
}

DeviceState* Shard::known(OrganisationId sender, std::string_view device) {
  const auto it = devices_.find(device);
  if (it == devices_.end() || it->second->config->organisation != sender) return nullptr;
  return it->second.get();
}

bool Shard::begin_message(DeviceState& state) {
  ++counts_.messages;
  ++state.messages;
  // Two messages of one turn are two moments: without a time of their own they would share (series,
  // time).
  const Timestamp before = state.last_seen;
  state.last_seen = std::max(now_, before + Duration::micros(1));
  if (state.messages > 1 && before.us != 0) {  // half the weight to the newest eight
    const Duration since = state.last_seen - before;
    state.interval.us = state.interval.us == 0 ? since.us : (state.interval.us * 7 + since.us) / 8;
  }
  return stations_.sample();
}

void Shard::end_message(DeviceState& state, const DecodeOutcome& outcome, size_t first, bool timed,
                        int64_t begin_ns) {
  const std::span<const Sample> samples(turn_.samples.data() + first, turn_.samples.size() - first);
  counts_.samples += samples.size();
  state.samples += samples.size();
  if (timed) stations_.add_sampled(decode_station_, Stations::now_ns() - begin_ns);
  if (!samples.empty()) {
    state.clock_offset = samples.back().source_time - state.last_seen;
    judge(state, samples, timed);
  }
  if (outcome.rejected == 0) return;
  if (outcome.first_reject == Reject::kFutureTime) ++state.future;
  counts_.rejected[static_cast<size_t>(outcome.first_reject)] += outcome.rejected;
  ++counts_.dead_letters;
  state.rejected += outcome.rejected;
}

void Shard::describe(const DecodeOutcome& outcome, std::string& out) {
  out.assign(name(outcome.first_reject));
  if (!outcome.first_about.empty()) out.append(": ").append(outcome.first_about);
  if (outcome.rejected > 1)
    out.append(" and ").append(std::to_string(outcome.rejected - 1)).append(" more");
}

void Shard::keep_rejected(DeviceState& state, const DecodeOutcome& outcome, std::string_view topic,
                          std::string_view payload) {
  describe(outcome, reason_);
  state.last_rejection = reason_;
  // last_seen: what its values without a time got, so that a replay makes the same samples.
  keep_raw(RecordType::kDeadLetter, state.last_seen, state.config->organisation,
           state.config->device, topic, payload, reason_);
}

void Shard::ingest_here(Arrival arrival, OrganisationId sender, std::string_view device,
                        std::string_view topic, std::string_view payload) {
  DeviceState* state = known(sender, device);
  if (!state) {
    ++counts_.discovered;
    keep_raw(RecordType::kDiscovery, now_, sender, device, topic, payload, {});
    return;
  }
  const bool timed = begin_message(*state);
  const int64_t begin_ns = timed ? Stations::now_ns() : 0;
  const size_t first = turn_.samples.size();
  const DecodeOutcome outcome =
      state->config->source || arrival != Arrival::kDeviceTopic
          ? read_bound(arrival, *state, topic, payload, state->last_seen, false)
          : decoder_.decode(payload, *state->config, state->last_seen, turn_, state->live);
  end_message(*state, outcome, first, timed, begin_ns);
  if (outcome.rejected > 0) keep_rejected(*state, outcome, topic, payload);
  if (turn_.samples.size() >= 8192) flush_samples();
}

BindOutcome Shard::bind(DeviceState& state, std::span<const WireValue> values, Timestamp received,
                        bool history_only) {
  // The past knows no deadband: what it compares with is the present.
  const std::span<const LiveValue> live =
      history_only ? std::span<const LiveValue>() : std::span<const LiveValue>(state.live);
  const BindOutcome outcome =
      bind_values(values, *state.config, live, received, options_.decode, turn_);
  state.unbound += outcome.unbound;
  state.suppressed += outcome.suppressed;
  counts_.unbound += outcome.unbound;
  counts_.suppressed += outcome.suppressed;
  return outcome;
}

BindOutcome Shard::read_bound(Arrival arrival, DeviceState& state, std::string_view topic,
                              std::string_view payload, Timestamp received, bool history_only) {
  const twin::SourceConfig* own = state.config->source.get();
  if (arrival == Arrival::kBoundTopicJoining)
    return {{0, 1, Reject::kNeedsCredentials, topic.substr(0, 128)}};
  twin::TopicPattern::Captures captures;
  if (!own || (!own->topic.empty() && !own->topic.match(topic, captures))) {
    if (arrival == Arrival::kBoundTopic)
      return {{0, 1, Reject::kOtherBinding, topic.substr(0, 128)}};
    // A binding for a topic of its own leaves devices/{device}/telemetry as it is.
    return {decoder_.decode(payload, *state.config, received, turn_, state.live)};
  }
  const twin::SourceConfig& source = *own;
  const bool describes_payload = source.protocol == "mqtt" || source.protocol == "http";
  const Reject why = describes_payload ? bound_reader_.read(payload, topic, source)
                                       : bound_reader_.read_report(payload);
  if (why != Reject::kNone) return {{0, 1, why, bound_reader_.about()}};
  return bind(state, bound_reader_.values(), received, history_only);
}

BindOutcome Shard::read_intake(DeviceState& state, const Intake& intake, Timestamp received) {
  if (intake.payload.empty())
    return bind(state, intake.report.view().values, received, intake.history_only);
  const std::string& protocol = state.config->protocol;
  // How a report was kept, by discovery or as a dead letter: its origin begins with the protocol.
  const bool kept_report =
      intake.topic.starts_with("http:")
          ? !intake.topic.starts_with("http:json")
          : protocol != "mqtt" && protocol != "http" && intake.topic.starts_with(protocol + ":");
  if (kept_report) {
    const Reject why = bound_reader_.read_report(intake.payload);
    if (why != Reject::kNone) return {{0, 1, why, bound_reader_.about()}};
    return bind(state, bound_reader_.values(), received, intake.history_only);
  }
  if (state.config->source)
    return read_bound(Arrival::kDeviceTopic, state, intake.topic, intake.payload, received,
                      intake.history_only);
  return {decoder_.decode(intake.payload, *state.config, received, turn_, state.live)};
}

void Shard::keep_unknown(const Intake& intake) {
  ++counts_.discovered;
  const Timestamp received = intake.received.us != 0 ? intake.received : now_;
  if (!intake.payload.empty()) {
    keep_raw(RecordType::kDiscovery, received, intake.sender, intake.device, intake.topic,
             intake.payload, {});
    return;
  }
  const Report report = intake.report.view();
  report_json_.clear();
  append_json(report_json_, report.values);
  keep_raw(RecordType::kDiscovery, received, intake.sender, intake.device, report.origin,
           report_json_, {});
}

Receipt Shard::take(const Intake& intake) {
  Receipt receipt;
  DeviceState* state = known(intake.sender, intake.device);
  if (!intake.refusal.empty()) {
    ++counts_.dead_letters;
    receipt.rejected = 1;
    receipt.reason = intake.refusal;
    if (state) {
      ++state->rejected;
      state->last_rejection = intake.refusal;
    }
    keep_raw(RecordType::kDeadLetter, now_, intake.sender, intake.device, intake.topic,
             intake.payload, intake.refusal);
    return receipt;
  }
  if (!state) {
    if (!intake.history_only) keep_unknown(intake);
    receipt.known = false;
    return receipt;
  }
  const bool timed = !intake.history_only && begin_message(*state);
  const int64_t begin_ns = timed ? Stations::now_ns() : 0;
  const Timestamp received = intake.received.us != 0 ? intake.received : state->last_seen;
  const size_t first = turn_.samples.size();
  const BindOutcome outcome = read_intake(*state, intake, received);
  receipt.accepted = outcome.accepted;
  receipt.rejected = outcome.rejected;
  receipt.suppressed = outcome.suppressed;
  receipt.unbound = outcome.unbound;
  if (outcome.rejected > 0) describe(outcome, receipt.reason);
  if (intake.history_only) {
    counts_.samples += turn_.samples.size() - first;
    update_live(*state, std::span(turn_.samples).subspan(first), turn_.text);
  } else {
    end_message(*state, outcome, first, timed, begin_ns);
    if (outcome.rejected > 0 && !intake.payload.empty())
      keep_rejected(*state, outcome, intake.topic, intake.payload);
    else if (outcome.rejected > 0) {
      const Report report = intake.report.view();
      report_json_.clear();
      append_json(report_json_, report.values);
      keep_rejected(*state, outcome, report.origin, report_json_);
    }
  }
  if (turn_.samples.size() >= 8192) flush_samples();
  return receipt;
}

void Shard::report_here(const Report& report) {
  DeviceState* state = known(report.sender, report.device);
  if (!state) {
    ++counts_.discovered;
    report_json_.clear();
    append_json(report_json_, report.values);
    keep_raw(RecordType::kDiscovery, now_, report.sender, report.device, report.origin,
             report_json_, {});
    return;
  }
  const bool timed = begin_message(*state);
  const int64_t begin_ns = timed ? Stations::now_ns() : 0;
  const size_t first = turn_.samples.size();
  const DecodeOutcome outcome = bind(*state, report.values, state->last_seen, false);
  end_message(*state, outcome, first, timed, begin_ns);
  if (outcome.rejected > 0) {
    report_json_.clear();
    append_json(report_json_, report.values);
    keep_rejected(*state, outcome, report.origin, report_json_);
  }
  if (turn_.samples.size() >= 8192) flush_samples();
}

void Shard::lost_here(OrganisationId sender, std::string_view device, Timestamp when) {
  DeviceState* state = known(sender, device);
  if (!state) return;
  const size_t first = turn_.samples.size();
  for (const LiveValue& live : state->live) {
    if (live.sample.source_time >= when || live.sample.quality != Quality::kGood) continue;
    if (const auto sample = repeated(live, Quality::kUncertain, when, now_, turn_))
      turn_.samples.push_back(*sample);
  }
  end_message(*state, {}, first, false, 0);
}

// The twin's live values, then its rules and models.
void Shard::judge(DeviceState& state, std::span<const Sample> samples, bool timed) {
  int64_t at_ns = timed ? Stations::now_ns() : 0;
  const auto lap = [&](size_t station) {
    if (!timed) return;
    const int64_t now_ns = Stations::now_ns();
    stations_.add_sampled(station, now_ns - at_ns);
    at_ns = now_ns;
  };
  update_live(state, samples, turn_.text);
  lap(live_station_);
  // Evaluators may append a signal, which flushes the turn's samples: the vector keeps its memory
  // and nothing is appended to it meanwhile, so the span stays readable.
  BatchSink sink(*this);
  for (size_t i = 0; i < evaluators_.size(); ++i) {
    evaluators_[i]->on_samples(state.config->twin, samples, sink);
    lap(evaluator_stations_[i]);
  }
}

void Shard::update_live(DeviceState& state, std::span<const Sample> samples,
                        std::string_view text) {
  const auto& elements = state.config->elements;
  size_t guess = 0;
  for (const Sample& sample : samples) {
    // A new twin's series are consecutive.
    if (guess >= elements.size() || elements[guess].series != sample.series)
      guess = sample.series.value - elements.front().series.value;
    if (guess >= elements.size() || elements[guess].series != sample.series)
      for (guess = 0; guess < elements.size() && elements[guess].series != sample.series; ++guess) {
      }
    if (guess == elements.size()) continue;
    LiveValue& live = state.live[guess++];
    if (sample.source_time < live.sample.source_time) continue;  // late: history's business only
    live.sample = sample;
    if (sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject)
      live.text.assign(text.substr(sample.text.offset, sample.text.length));
  }
}

// -- recovery

void Shard::snapshot_live(Bytes& out) const {
  for (const auto& [device, state] : devices_) {
    append_text(out, device);
    append_le<int64_t>(out, state->last_seen.us);
    append_le<uint64_t>(out, state->messages);
    append_le<uint64_t>(out, state->rejected);
    append_le<uint32_t>(out, static_cast<uint32_t>(state->live.size()));
    for (const LiveValue& live : state->live) {
      append_bytes(out, std::as_bytes(std::span(&live.sample, 1)));
      append_text(out, live.text);
    }
  }
}

void Shard::restore_live(ByteView section) {
  ByteReader in(section);
  while (in.ok() && !in.done()) {
    const auto it = devices_.find(in.text());
    DeviceState* state = it == devices_.end() ? nullptr : it->second.get();
    const Timestamp last_seen{in.le<int64_t>()};
    const auto messages = in.le<uint64_t>();
    const auto rejected = in.le<uint64_t>();
    if (state) {
      state->last_seen = last_seen;
      state->messages = messages;
      state->rejected = rejected;
    }
    for (auto left = in.le<uint32_t>(); in.ok() && left > 0; --left) {
      const auto sample = in.le<Sample>();
      const std::string_view text = in.text();
      for (size_t i = 0; state && i < state->config->elements.size(); ++i)
        if (state->config->elements[i].series == sample.series)
          state->live[i] = {sample, std::string(text)};
    }
  }
  if (!in.ok())
    log_warning("stream", "live values of a checkpoint end early; the rest comes from the journal");
}

void Shard::replay_samples(const SampleView& view) {
  class Muted final : public SignalSink {  // the journal already holds what was concluded then
    void emit(const Signal&) override {}
  } muted;
  for (size_t first = 0; first < view.samples.size();) {
    const auto it = by_series_.find(view.samples[first].series.value);
    size_t end = first + 1;
    if (it == by_series_.end()) {  // deleted meanwhile, or another shard's
      first = end;
      continue;
    }
    DeviceState& state = *it->second;
    const auto same_message = [&](const Sample& s) {
      const auto other = by_series_.find(s.series.value);
      return other != by_series_.end() && other->second == &state &&
             s.source_time == view.samples[first].source_time;
    };
    while (end < view.samples.size() && same_message(view.samples[end])) ++end;
    const auto samples = view.samples.subspan(first, end - first);
    ++state.messages;
    state.last_seen = std::max(state.last_seen, samples.front().received_time);
    update_live(state, samples, view.text);
    for (auto& evaluator : evaluators_) evaluator->on_samples(state.config->twin, samples, muted);
    first = end;
  }
}

}  // namespace penstock::stream
