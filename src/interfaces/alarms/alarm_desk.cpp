#include "interfaces/alarms/alarm_desk.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/json.h"
#include "base/log.h"

namespace penstock::interfaces {
namespace {

using store::Bind;
using store::Cell;
using store::CellKind;
using store::Session;

constexpr size_t kSignalsMax = 1000;  ///< of one transaction
constexpr int64_t kOffsetEveryUs = 5'000'000;
/// An alarm that comes and goes for weeks while nobody looks must not grow without end.
constexpr int64_t kSystemEventsMax = 1000;
constexpr std::string_view kSystem = "system";

constexpr std::array<store::Migration, 1> kMigrations{{{1, "alarms",
                                                        R"sql(
CREATE TABLE alarm (
  organisation_id INTEGER NOT NULL, id BIGINT NOT NULL PRIMARY KEY,
  twin_id INTEGER NOT NULL, site_id INTEGER NOT NULL, source_id INTEGER NOT NULL,
  from_detector INTEGER NOT NULL, source_name TEXT NOT NULL, priority INTEGER NOT NULL,
  state INTEGER NOT NULL, raised_at BIGINT NOT NULL, acknowledged_at BIGINT NOT NULL,
  acknowledged_by TEXT NOT NULL, cleared_at BIGINT NOT NULL,
  value DOUBLE PRECISION, limit_value DOUBLE PRECISION,
  element TEXT NOT NULL, unit TEXT NOT NULL, message TEXT NOT NULL, cause TEXT NOT NULL,
  consequence TEXT NOT NULL, action TEXT NOT NULL, contributions TEXT NOT NULL);
CREATE INDEX alarm_state ON alarm (state, id);
CREATE INDEX alarm_twin ON alarm (twin_id, id);
CREATE TABLE alarm_event (
  organisation_id INTEGER NOT NULL, alarm_id BIGINT NOT NULL, number BIGINT NOT NULL,
  at BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (alarm_id, number));
CREATE TABLE alarm_cursor (
  organisation_id INTEGER NOT NULL PRIMARY KEY, journal_offset BIGINT NOT NULL);
)sql"}}};

constexpr std::string_view kColumns =
    "SELECT id, organisation_id, twin_id, site_id, source_id, from_detector, source_name, "
    "priority, "
    "state, raised_at, acknowledged_at, acknowledged_by, cleared_at, value, limit_value, element, "
    "unit, "
    "message, cause, consequence, action, contributions FROM alarm ";
constexpr CellKind kI = CellKind::kInteger, kR = CellKind::kReal, kT = CellKind::kText;
constexpr std::array<CellKind, 22> kCells{kI, kI, kI, kI, kI, kI, kT, kI, kI, kI, kI,
                                          kT, kI, kR, kR, kT, kT, kT, kT, kT, kT, kT};

Json contributions_json(const std::vector<AlarmItem::Contribution>& all) {
  Json out = Json::array();
  for (const auto& one : all) out.push_back({{"element", one.element}, {"share", one.share}});
  return out;
}

/// From a stored alarm (an array, elements by key) or a signal (an object, elements by series).
std::vector<AlarmItem::Contribution> read_contributions(std::string_view text,
                                                        const twin::TwinRegistry* twins = nullptr) {
  std::vector<AlarmItem::Contribution> out;
  const auto document = text.empty() ? Result<Json>(Json::object()) : parse_json(text);
  if (!document) return out;
  const Json& list =
      document->is_object() ? document->value("contributions", Json::array()) : *document;
  if (!list.is_array()) return out;
  for (const Json& one : list) {
    if (!one.is_object()) continue;
    AlarmItem::Contribution contribution;
    if (const auto share = one.find("share"); share != one.end() && share->is_number())
      contribution.share = share->get<double>();
    if (const auto key = one.find("element"); key != one.end() && key->is_string()) {
      contribution.element = key->get<std::string>();
    } else if (const auto id = one.find("series");
               twins != nullptr && id != one.end() && id->is_number_unsigned()) {
      const auto series = twins->series(SeriesId(id->get<uint32_t>()));
      if (series) contribution.element = series->element;
    }
    if (!contribution.element.empty()) out.push_back(std::move(contribution));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.share > b.share; });
  return out;
}

template <class T>
T take(Cell& cell) {
  return store::detail::from_cell<T>(std::move(cell));
}

AlarmItem read_row(std::span<Cell> row) {
  AlarmItem alarm;
  size_t i = 0;
  alarm.id = take<AlarmId>(row[i++]);
  alarm.organisation = take<OrganisationId>(row[i++]);
  alarm.twin = take<TwinId>(row[i++]);
  alarm.site = take<SiteId>(row[i++]);
  alarm.source = take<RuleId>(row[i++]);
  alarm.from_detector = take<bool>(row[i++]);
  alarm.source_name = take<std::string>(row[i++]);
  alarm.priority = static_cast<Priority>(std::clamp<int64_t>(take<int64_t>(row[i++]), 0, 3));
  alarm.state = static_cast<AlarmState>(std::clamp<int64_t>(take<int64_t>(row[i++]), 0, 3));
  alarm.raised = take<Timestamp>(row[i++]);
  alarm.acknowledged = take<Timestamp>(row[i++]);
  alarm.acknowledged_by = take<std::string>(row[i++]);
  alarm.cleared = take<Timestamp>(row[i++]);
  alarm.value = take<std::optional<double>>(row[i++]);
  alarm.limit = take<std::optional<double>>(row[i++]);
  alarm.element = take<std::string>(row[i++]);
  alarm.unit = take<std::string>(row[i++]);
  alarm.message = take<std::string>(row[i++]);
  alarm.cause = take<std::string>(row[i++]);
  alarm.consequence = take<std::string>(row[i++]);
  alarm.action = take<std::string>(row[i++]);
  alarm.contributions = read_contributions(take<std::string>(row[i++]));
  return alarm;
}

Result<std::vector<AlarmItem>> read_alarms(Session& session, std::string_view where,
                                           std::span<const Bind> binds) {
  std::vector<AlarmItem> out;
  TRY(session.query_bound(std::string(kColumns) + std::string(where), binds, kCells,
                          [&](std::span<Cell> row) { out.push_back(read_row(row)); }));
  return out;
}

Status insert(Session& session, const AlarmItem& a) {
  TRY(
      session.run("INSERT INTO alarm (organisation_id, id, twin_id, site_id, source_id, "
                  "from_detector, source_name, "
                  "priority, state, raised_at, acknowledged_at, acknowledged_by, cleared_at, "
                  "value, limit_value, "
                  "element, unit, message, cause, consequence, action, contributions) "
                  "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  a.organisation, a.id, a.twin, a.site, a.source, a.from_detector, a.source_name,
                  static_cast<int>(a.priority), static_cast<int>(a.state), a.raised, a.acknowledged,
                  a.acknowledged_by, a.cleared, a.value, a.limit, a.element, a.unit, a.message,
                  a.cause, a.consequence, a.action, contributions_json(a.contributions).dump()));
  return {};
}

/// Stores what may change in an alarm's life.
Status update(Session& session, const AlarmItem& a) {
  TRY(session.run(
      "UPDATE alarm SET state = ?, acknowledged_at = ?, acknowledged_by = ?, cleared_at = ?, "
      "value = ?, limit_value = ?, contributions = ? WHERE id = ?",
      static_cast<int>(a.state), a.acknowledged, a.acknowledged_by, a.cleared, a.value, a.limit,
      contributions_json(a.contributions).dump(), a.id));
  return {};
}

Status note_event(Session& session, const AlarmItem& alarm, Timestamp at, std::string_view who,
                  std::string_view what, std::string_view note) {
  const int64_t number_max = who == kSystem ? kSystemEventsMax : INT64_MAX;
  const std::string_view last = "comes and goes further; this is not listed any more";
  TRY(session.run(
      "INSERT INTO alarm_event (organisation_id, alarm_id, number, at, who, what, note) "
      "SELECT ?, ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, "
      "CASE WHEN COALESCE(MAX(number), 0) + 1 = ? THEN ? ELSE ? END FROM alarm_event "
      "WHERE alarm_id = ? HAVING COALESCE(MAX(number), 0) < ?",
      alarm.organisation, alarm.id, at, who, what, number_max, last, note, alarm.id, number_max));
  return {};
}

}  // namespace

AlarmDesk::AlarmDesk(store::Registry& registry, const twin::TwinRegistry& twins, Clock& clock,
                     Metrics& metrics, Sources sources)
    : registry_(registry),
      twins_(twins),
      clock_(clock),
      sources_(std::move(sources)),
      raised_(metrics.counter("penstock_alarms_raised_total", "Alarms raised")),
      open_gauge_(metrics.gauge("penstock_alarms_open", "Alarms that are not closed")) {}

Result<std::unique_ptr<AlarmDesk>> AlarmDesk::open(store::Registry& registry,
                                                   const twin::TwinRegistry& twins, Clock& clock,
                                                   Metrics& metrics, Sources sources) {
  TRY(registry.migrate("alarms", kMigrations));
  std::unique_ptr<AlarmDesk> desk(
      new AlarmDesk(registry, twins, clock, metrics, std::move(sources)));
  TRY(desk->load());
  return desk;
}

AlarmDesk::~AlarmDesk() { stop(); }

Status AlarmDesk::load() {
  return registry_.read([&](Session& session) -> Status {
    const Bind binds[] = {static_cast<int64_t>(AlarmState::kClosed)};
    TRY_ASSIGN(auto all, read_alarms(session, "WHERE state <> ? ORDER BY id", binds));
    for (auto& alarm : all) {
      const Key key{alarm.twin, alarm.source};
      open_[key] = std::move(alarm);
    }
    TRY_ASSIGN(const auto cursor,
               (session.query_one<int64_t>("SELECT MAX(journal_offset) FROM alarm_cursor")));
    if (cursor) offset_ = static_cast<stream::JournalOffset>(std::get<0>(*cursor));
    open_gauge_.set(static_cast<double>(open_.size()));
    return {};
  });
}

// -- the journal

Status AlarmDesk::start(stream::Journal& journal) {
  stream::JournalOffset from = offset();
  if (from < journal.begin_offset()) {
    if (from != 0)
      log_warning("alarms", "the journal begins at {}, after {}: signals between are lost",
                  journal.begin_offset(), from);
    from = journal.begin_offset();
  }
  if (from > journal.durable_offset())
    return fail(ErrorCode::kCorrupt,
                "the alarms are ahead of the journal: it is not the journal they were made from",
                std::to_string(from));
  TRY(clear_orphans());
  TRY_ASSIGN(reader_, journal.read_from(from));
  journal_ = &journal;
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
  return {};
}

/// A rule, detector or twin that was removed just before a crash has no evaluator that could say
/// that its alarm is over.
Status AlarmDesk::clear_orphans() {
  std::vector<stream::Signal> signals;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, alarm] : open_) {
      if (alarm.state == AlarmState::kCleared) continue;
      if (twins_.twin(alarm.twin) && sources_(alarm.source, alarm.twin)) continue;
      stream::Signal& signal = signals.emplace_back();
      signal.twin = alarm.twin;
      signal.source = alarm.source;
      signal.time = clock_.now();
    }
  }
  return signals.empty() ? Status() : apply(signals, offset());
}

void AlarmDesk::stop() {
  stopping_ = true;
  if (reader_) reader_->wake();
  if (thread_.joinable()) thread_.join();
  reader_.reset();
}

stream::JournalOffset AlarmDesk::offset() const {
  const std::lock_guard lock(mutex_);
  return offset_;
}

void AlarmDesk::run() {
  std::vector<stream::Signal> signals;
  std::vector<std::string> details;  // signals hold views of these
  stream::JournalOffset next = offset();
  int64_t stored_us = clock_.monotonic_us();
  while (!stopping_) {
    signals.clear();
    details.clear();
    details.reserve(kSignalsMax);
    bool more = true;
    while (signals.size() < kSignalsMax) {
      const auto record = reader_->next();
      if (!record) {
        log_error("alarms", "cannot read the journal: {}; no alarm is raised until a restart",
                  record.error().text());
        return;
      }
      more = record->has_value();
      if (!more) break;
      next = (*record)->next;
      if ((*record)->type != stream::RecordType::kSignal) {
        if (stopping_ || clock_.monotonic_us() - stored_us > kOffsetEveryUs) break;
        continue;
      }
      if (auto signal = stream::decode_signal((*record)->body)) {
        details.emplace_back(signal->detail);
        signal->detail = details.back();
        signals.push_back(*signal);
      }
    }
    const bool due = clock_.monotonic_us() - stored_us > kOffsetEveryUs && next != offset();
    if (!signals.empty() || due) {
      const Status done = apply(signals, next);
      stored_us = clock_.monotonic_us();
      if (!done) {  // the database is full or locked: the same signals again, a little later
        log_error("alarms", "cannot store alarms: {}", done.error().text());
        for (int i = 0; i < 20 && !stopping_; ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
        auto again = journal_->read_from(offset());
        if (!again) return log_error("alarms", "cannot read the journal: {}", again.error().text());
        reader_ = std::move(*again);
        continue;
      }
    }
    if (!more) reader_->wait(Duration::millis(500));
  }
  if (next != offset()) {
    if (const Status done = apply({}, next); !done)
      log_warning("alarms", "cannot store the offset: {}", done.error().text());
  }
}

Status AlarmDesk::apply(const std::vector<stream::Signal>& signals, stream::JournalOffset next) {
  const std::lock_guard one_change(write_mutex_);
  Change change;
  const Status done = registry_.write([&](Session& session) -> Status {
    change = {};  // this may run twice
    for (const auto& signal : signals) TRY(apply_one(session, signal, change));
    TRY(session.run(
        "INSERT INTO alarm_cursor (organisation_id, journal_offset) VALUES (?, ?) "
        "ON CONFLICT (organisation_id) DO UPDATE SET journal_offset = excluded.journal_offset",
        twins_.default_organisation(), static_cast<int64_t>(next)));
    return {};
  });
  TRY(done);
  raised_.add(change.raised);
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, alarm] : change.touched)
      if (alarm.state == AlarmState::kClosed)
        open_.erase(key);
      else
        open_.insert_or_assign(key, std::move(alarm));
    offset_ = next;
    open_gauge_.set(static_cast<double>(open_.size()));
  }
  if (listener_)
    for (const auto& alarm : change.alarms) listener_(alarm);
  return {};
}

/// The open alarm as this transaction has left it; null: there is none. REQUIRES: write_mutex_,
/// without which open_ does not change.
AlarmItem* AlarmDesk::touch(const Key& key, Change& change) const {
  auto found = change.touched.find(key);
  if (found == change.touched.end()) {
    const auto open = open_.find(key);
    if (open == open_.end()) return nullptr;
    found = change.touched.emplace(key, open->second).first;
  }
  return found->second.state == AlarmState::kClosed ? nullptr : &found->second;
}

Status AlarmDesk::apply_one(Session& session, const stream::Signal& signal, Change& change) {
  AlarmItem* const known = touch(Key{signal.twin, signal.source}, change);
  if (known == nullptr) return signal.active ? raise(session, signal, change) : Status();
  AlarmItem& alarm = *known;
  if (!signal.active) {
    if (alarm.state == AlarmState::kCleared) return {};
    alarm.state =
        alarm.state == AlarmState::kAcknowledged ? AlarmState::kClosed : AlarmState::kCleared;
    alarm.cleared = std::max(signal.time, alarm.raised);  // the device's clock may have gone back
    TRY(update(session, alarm));
    TRY(note_event(session, alarm, alarm.cleared, kSystem, "cleared", ""));
    change.alarms.push_back(alarm);
    return {};
  }
  alarm.value = signal.value;
  alarm.limit = signal.limit;
  if (!signal.detail.empty()) alarm.contributions = read_contributions(signal.detail, &twins_);
  if (alarm.state == AlarmState::kCleared) {
    // Nobody has seen the first time yet: the same alarm, not one more.
    alarm.state = AlarmState::kActive;
    alarm.cleared = {};
    ++change.raised;
    TRY(note_event(session, alarm, signal.time, kSystem, "raised again", ""));
  }
  TRY(update(session, alarm));
  change.alarms.push_back(alarm);
  return {};
}

Status AlarmDesk::raise(Session& session, const stream::Signal& signal, Change& change) {
  const auto twin = twins_.twin(signal.twin);
  const auto source = sources_(signal.source, signal.twin);
  if (!twin || !source) {
    log_warning("alarms", "a signal of twin {} and source {}, one of which is gone",
                signal.twin.value, signal.source.value);
    return {};
  }
  AlarmItem alarm;
  TRY_ASSIGN(const int64_t id, session.next_id("alarm"));
  alarm.id = AlarmId(static_cast<uint64_t>(id));
  alarm.organisation = twin->organisation;
  alarm.twin = twin->id;
  alarm.site = twin->site;
  alarm.from_detector = source->from_detector;
  alarm.source = signal.source;
  alarm.source_name = source->name;
  alarm.priority = source->priority;
  alarm.raised = signal.time;
  alarm.value = signal.value;
  alarm.limit = signal.limit;
  alarm.element = source->element;
  alarm.unit = source->unit;
  alarm.message = source->message;
  alarm.cause = source->cause;
  alarm.consequence = source->consequence;
  alarm.action = source->action;
  alarm.contributions = read_contributions(signal.detail, &twins_);
  TRY(insert(session, alarm));
  TRY(note_event(session, alarm, signal.time, kSystem, "raised", ""));
  ++change.raised;
  change.alarms.push_back(alarm);
  change.touched.insert_or_assign(Key{signal.twin, signal.source}, std::move(alarm));
  return {};
}

// -- people

Result<std::vector<AlarmItem>> AlarmDesk::alarms(const AlarmFilter& filter, size_t limit) {
  std::string where = "WHERE organisation_id = ? AND id < ?";
  std::vector<Bind> binds{static_cast<int64_t>(filter.organisation.value),
                          static_cast<int64_t>(std::min<uint64_t>(filter.before, INT64_MAX))};
  const auto add = [&](std::string_view condition, int64_t value) {
    where += condition;
    binds.emplace_back(value);
  };
  if (filter.open) add(" AND state <> ?", static_cast<int64_t>(AlarmState::kClosed));
  if (filter.state) add(" AND state = ?", static_cast<int64_t>(*filter.state));
  if (filter.priority) add(" AND priority = ?", static_cast<int64_t>(*filter.priority));
  if (filter.site) add(" AND site_id = ?", filter.site.value);
  if (filter.twin) add(" AND twin_id = ?", filter.twin.value);
  if (!filter.sites.empty()) {
    where += " AND site_id IN (";
    for (const SiteId site : filter.sites)
      add(binds.empty() ? "" : where.back() == '(' ? "?" : ", ?", site.value);
    where += ")";
  }
  add(" ORDER BY id DESC LIMIT ?", static_cast<int64_t>(limit));
  if (filter.open && !filter.state) {
    const std::lock_guard lock(mutex_);
    if (open_.empty())
      return std::vector<AlarmItem>{};  // the usual case needs no question to the disk
  }
  return registry_.read([&](Session& session) { return read_alarms(session, where, binds); });
}

Result<AlarmItem> AlarmDesk::read_one(Session& session, OrganisationId organisation, AlarmId id) {
  const Bind binds[] = {static_cast<int64_t>(organisation.value), static_cast<int64_t>(id.value)};
  TRY_ASSIGN(auto found, read_alarms(session, "WHERE organisation_id = ? AND id = ?", binds));
  if (found.empty())
    return fail(ErrorCode::kNotFound, "there is no such alarm", "alm_" + std::to_string(id.value));
  AlarmItem alarm = std::move(found.front());
  TRY((session.each<Timestamp, std::string, std::string, std::string>(
      [&](Timestamp at, std::string who, std::string what, std::string note) {
        alarm.history.push_back({at, std::move(who), std::move(what), std::move(note)});
      },
      "SELECT at, who, what, note FROM alarm_event WHERE alarm_id = ? ORDER BY number", id)));
  return alarm;
}

Result<AlarmItem> AlarmDesk::alarm(OrganisationId organisation, AlarmId id) {
  return registry_.read([&](Session& session) { return read_one(session, organisation, id); });
}

Result<AlarmItem> AlarmDesk::acknowledge(OrganisationId organisation, AlarmId id,
                                         std::string_view who, std::string_view note) {
  const std::lock_guard one_change(write_mutex_);
  bool acted = false;
  TRY_ASSIGN(AlarmItem alarm, registry_.write([&](Session& session) -> Result<AlarmItem> {
    TRY_ASSIGN(AlarmItem now, read_one(session, organisation, id));
    acted = now.state == AlarmState::kActive || now.state == AlarmState::kCleared;
    if (!acted) return now;  // somebody was first: what is asked for holds already
    now.state = now.state == AlarmState::kActive ? AlarmState::kAcknowledged : AlarmState::kClosed;
    now.acknowledged = clock_.now();
    now.acknowledged_by = std::string(who);
    TRY(update(session, now));
    TRY(note_event(session, now, now.acknowledged, who, "acknowledged", note));
    return read_one(session, organisation, id);
  }));
  if (!acted) return alarm;
  {
    const std::lock_guard lock(mutex_);
    const Key key{alarm.twin, alarm.source};
    if (alarm.state == AlarmState::kClosed) {
      open_.erase(key);
    } else if (const auto found = open_.find(key); found != open_.end()) {
      found->second = alarm;
      found->second.history.clear();
    }
    open_gauge_.set(static_cast<double>(open_.size()));
  }
  if (listener_) listener_(alarm);
  return alarm;
}

Result<AlarmItem> AlarmDesk::add_note(OrganisationId organisation, AlarmId id, std::string_view who,
                                      std::string_view text) {
  TRY_ASSIGN(AlarmItem alarm, registry_.write([&](Session& session) -> Result<AlarmItem> {
    TRY_ASSIGN(const AlarmItem before, read_one(session, organisation, id));
    TRY(note_event(session, before, clock_.now(), who, "note", text));
    return read_one(session, organisation, id);
  }));
  if (listener_) listener_(alarm);
  return alarm;
}

}  // namespace penstock::interfaces
