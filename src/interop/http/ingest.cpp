#include "interop/http/ingest.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include <fmt/format.h>

#include "base/json.h"
#include "interop/http/csv_rows.h"
#include "interop/http/json_rows.h"
#include "interop/http/otlp.h"
#include "interop/mqtt/topic.h"
#include "twin/binding.h"
#include "twin/names.h"

namespace penstock::interop::http {

using stream::Intake;
using stream::Receipt;

namespace {

constexpr Format kFormats[] = {Format::kJson,       Format::kJsonLines,    Format::kCsv,
                               Format::kInfluxLine, Format::kOtlpProtobuf, Format::kOtlpJson};

Status parse(const IngestRequest& request, const RowLimits& limits, Rows& rows) {
  switch (request.format) {
    case Format::kJson:
      return parse_json_rows(request.body, limits, rows);
    case Format::kJsonLines:
      parse_json_lines(request.body, limits, rows);
      return {};
    case Format::kCsv:
      return parse_csv_rows(request.body, limits, rows);
    case Format::kInfluxLine:
      parse_influx_lines(request.body, request.line, limits, rows);
      return {};
    case Format::kOtlpProtobuf:
      return parse_otlp_protobuf(request.body, limits, rows);
    case Format::kOtlpJson:
      break;
  }
  return parse_otlp_json(request.body, limits, rows);
}

void add_error(IngestAnswer& answer, uint32_t number, std::string reason, size_t errors_max) {
  if (answer.errors.size() < errors_max) answer.errors.emplace_back(number, std::move(reason));
}

}  // namespace

std::string_view name(Format format) {
  switch (format) {
    case Format::kJson:
      return "json";
    case Format::kJsonLines:
      return "jsonl";
    case Format::kCsv:
      return "csv";
    case Format::kInfluxLine:
      return "influx";
    case Format::kOtlpProtobuf:
      return "otlp";
    case Format::kOtlpJson:
      break;
  }
  return "otlp_json";
}

std::string to_json_text(const IngestAnswer& answer) {
  Json errors = Json::array();
  for (const auto& [row, reason] : answer.errors)
    errors.push_back({{"row", row}, {"reason", reason}});
  const Json out = {{"rows", answer.rows},
                    {"refused_rows", answer.refused_rows},
                    {"accepted", answer.accepted},
                    {"rejected", answer.rejected},
                    {"suppressed", answer.suppressed},
                    {"unbound", answer.unbound},
                    {"discovered", answer.discovered},
                    {"repeated", answer.repeated},
                    {"errors", std::move(errors)}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<IngestAnswer> answer_from_json(std::string_view text) {
  TRY_ASSIGN(const Json json, parse_json(text));
  IngestAnswer answer;
  answer.rows = json.value("rows", uint64_t{0});
  answer.refused_rows = json.value("refused_rows", uint64_t{0});
  answer.accepted = json.value("accepted", uint64_t{0});
  answer.rejected = json.value("rejected", uint64_t{0});
  answer.suppressed = json.value("suppressed", uint64_t{0});
  answer.unbound = json.value("unbound", uint64_t{0});
  answer.discovered = json.value("discovered", uint64_t{0});
  for (const Json& error : json.value("errors", Json::array()))
    answer.errors.emplace_back(error.value("row", 0U), error.value("reason", ""));
  return answer;
}

Ingest::Ingest(Submit submit, const twin::TwinRegistry& twins, IdempotencyKeys& keys, Clock& clock,
               Metrics& metrics, IngestOptions options)
    : submit_(std::move(submit)),
      twins_(twins),
      keys_(keys),
      clock_(clock),
      options_(options),
      refused_(metrics.counter("penstock_http_ingest_refused_rows_total",
                               "Rows over HTTP that could not be read")),
      repeated_(metrics.counter("penstock_http_ingest_repeated_total",
                                "Requests answered from their Idempotency-Key")),
      busy_(metrics.counter("penstock_http_ingest_busy_total",
                            "Requests that were told to come again later")) {
  for (const Format format : kFormats)
    rows_[static_cast<size_t>(format)] =
        &metrics.counter("penstock_http_ingest_rows_total", "Rows over HTTP",
                         {{"format", std::string(name(format))}});
}

Result<std::string> Ingest::device_of(const IngestRequest& request,
                                      std::string_view written) const {
  const twin::DeviceIdentity& who = request.sender;
  std::string device;
  if (written.empty())
    device = request.device.empty() ? who.device : std::string(request.device);
  else
    device = twin::check_device_name(written) ? std::string(written) : stream::wire_name(written);
  if (device.empty())
    return fail(ErrorCode::kInvalidArgument,
                "the row does not say which device it is of: name it in the row or in the address");
  TRY(twin::check_device_name(device));
  if (device == who.device) return device;
  if (who.may_provision && !twins_.device(device)) return device;
  const std::string topic = "devices/" + device + "/telemetry";
  for (const std::string& grant : who.publish_filters)
    if (mqtt::matches(grant, topic)) return device;
  return fail(ErrorCode::kPermissionDenied,
              who.may_provision ? "a join token speaks for unregistered devices only: this one has "
                                  "credentials of its own"
                                : "these credentials may not speak for that device",
              device);
}

// An agent tells its host whether asked or not: of a device that speaks for itself only, and where
// the request's address names the device, that is no other device.
std::string_view Ingest::device_written(const IngestRequest& request, const Row& row) {
  const twin::DeviceIdentity& who = request.sender;
  const bool only_itself = !who.device.empty() && !who.may_provision && who.publish_filters.empty();
  return row.device_is_guess && (only_itself || !request.device.empty()) ? std::string_view()
                                                                         : row.device;
}

void Ingest::shorten(const twin::DeviceConfig& device, const Row& row, Rows& rows) const {
  for (uint32_t i = row.first; i < row.first + row.count; ++i) {
    const std::string_view shorter = rows.shorter[i];
    if (shorter.empty()) continue;
    size_t hint = 0;
    const bool take_it = device.source ? device.source->rules_of(rows.values[i].address).empty()
                                       : device.find(rows.values[i].address, hint) == nullptr;
    if (take_it) rows.values[i].address = shorter;
  }
}

Result<std::vector<Intake>> Ingest::intakes_of(const IngestRequest& request, Rows& rows,
                                               std::vector<uint32_t>& numbers) const {
  const OrganisationId organisation = request.sender.organisation;
  const std::string origin = fmt::format("http:{}", name(request.format));
  std::vector<Intake> intakes;
  intakes.reserve(rows.rows.size() + rows.errors.size());
  std::string_view last_written;
  std::string last_device;
  twin::DevicePtr record;
  for (const Row& row : rows.rows) {
    const std::string_view written = device_written(request, row);
    if (last_device.empty() || written != last_written) {
      auto device = device_of(request, written);
      if (!device && written.empty()) return fail(device.error());  // so is every such row
      if (!device) {
        rows.refuse(row.number, device.error().text(), options_.rows);
        continue;
      }
      last_written = written;
      last_device = std::move(*device);
      record = twins_.device(last_device);
      if (record && record->organisation != organisation) record = nullptr;
    }
    Intake intake;
    intake.sender = organisation;
    intake.device = last_device;
    if (!row.payload.empty()) {
      intake.topic = "http:json";
      intake.payload = row.payload;
    } else {
      if (!rows.shorter.empty() && record && record->config) shorten(*record->config, row, rows);
      intake.report = stream::OwnedReport({organisation, last_device, origin,
                                           std::span(rows.values).subspan(row.first, row.count)});
    }
    intakes.push_back(std::move(intake));
    numbers.push_back(row.number);
  }
  // What could not be read goes to the dead letters of whoever sent it.
  for (const RowError& error : rows.errors) {
    if (error.text.empty()) continue;
    Intake letter;
    letter.sender = organisation;
    letter.device = request.sender.device.empty() ? request.sender.name : request.sender.device;
    letter.topic = origin;
    letter.payload = error.text;
    letter.refusal = error.reason;
    intakes.push_back(std::move(letter));
  }
  return intakes;
}

Status Ingest::charge(const std::string& sender, size_t rows) {
  const int64_t now_us = clock_.monotonic_us();
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= options_.senders_max && !buckets_.contains(sender))
    buckets_.clear();  // everybody starts anew: a limit, not an account
  auto [at, fresh] = buckets_.try_emplace(sender, Bucket{options_.rows_burst_max, now_us});
  Bucket& bucket = at->second;
  bucket.rows = std::min(
      options_.rows_burst_max,
      bucket.rows + static_cast<double>(now_us - bucket.filled_us) / 1e6 * options_.rows_per_s_max);
  bucket.filled_us = now_us;
  if (bucket.rows <= 0)
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("more than {:.0f} rows a second: slow down", options_.rows_per_s_max),
                sender);
  bucket.rows -= static_cast<double>(rows);  // into debt, so that a large request passes once
  return {};
}

Result<std::vector<Receipt>> Ingest::submit_and_wait(std::vector<Intake> intakes) {
  struct Wait {  // shared: the shards may answer after we gave up
    std::mutex mutex;
    std::condition_variable ready;
    std::vector<Receipt> receipts;
    bool done = false;
  };
  if (intakes.empty()) return std::vector<Receipt>();
  size_t bytes = 0;
  for (const Intake& intake : intakes) bytes += intake.bytes();
  if (waiting_bytes_.fetch_add(bytes) > options_.waiting_bytes_max) {
    waiting_bytes_ -= bytes;
    busy_.add();
    return fail(ErrorCode::kUnavailable, "too much waits for the journal: send it again later");
  }
  const auto wait = std::make_shared<Wait>();
  submit_(std::move(intakes), [this, wait, bytes](std::vector<Receipt> receipts) {
    waiting_bytes_ -= bytes;
    const std::lock_guard lock(wait->mutex);
    wait->receipts = std::move(receipts);
    wait->done = true;
    wait->ready.notify_one();
  });
  std::unique_lock lock(wait->mutex);
  const int64_t give_up_us = clock_.monotonic_us() + options_.durable_timeout.us;
  while (!wait->done && !stopping_ && clock_.monotonic_us() < give_up_us)
    wait->ready.wait_for(lock, std::chrono::milliseconds(200));
  if (!wait->done) {
    busy_.add();
    return fail(ErrorCode::kUnavailable,
                "the journal has not answered in time: send it again, with the same "
                "Idempotency-Key");
  }
  for (const Receipt& receipt : wait->receipts)
    if (!receipt.durable) {
      busy_.add();
      return fail(ErrorCode::kUnavailable,
                  "the journal does not take writes: send it again later (see /api/v1/health)");
    }
  return std::move(wait->receipts);
}

Result<IngestAnswer> Ingest::take(const IngestRequest& request) {
  const twin::DeviceIdentity& who = request.sender;
  TRY(charge(who.name, 1));
  Rows rows;
  TRY(parse(request, options_.rows, rows));
  std::vector<uint32_t> numbers;
  TRY_ASSIGN(auto intakes, intakes_of(request, rows, numbers));
  TRY(charge(who.name, rows.rows.size()));
  rows_[static_cast<size_t>(request.format)]->add(rows.rows.size());
  refused_.add(rows.refused);

  const bool keyed = !request.idempotency_key.empty();
  if (keyed) {
    Timestamp base = clock_.now();
    {
      const std::lock_guard lock(mutex_);
      base.us = std::max(base.us, next_free_us_);
      next_free_us_ = base.us + (numbers.empty() ? 0 : numbers.back()) + 1;
    }
    TRY_ASSIGN(const auto begun, keys_.begin(who.organisation, who.name, request.idempotency_key,
                                             request.body, base));
    if (!begun.answer.empty()) {
      repeated_.add();
      TRY_ASSIGN(IngestAnswer before, answer_from_json(begun.answer));
      before.repeated = true;
      return before;
    }
    for (size_t i = 0; i < numbers.size(); ++i)  // by row: whatever else is refused this time
      intakes[i].received = begun.received + Duration::micros(numbers[i]);
  }
  auto receipts = submit_and_wait(std::move(intakes));
  if (!receipts) {
    if (keyed) TRY(keys_.finish(who.organisation, who.name, request.idempotency_key, {}));
    return fail(receipts.error());
  }
  IngestAnswer answer;
  answer.rows = numbers.size() + rows.refused;
  answer.refused_rows = rows.refused;
  for (const RowError& error : rows.errors)
    add_error(answer, error.number, error.reason, options_.rows.errors_max);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Receipt& receipt = (*receipts)[i];
    answer.accepted += receipt.accepted;
    answer.rejected += receipt.rejected;
    answer.suppressed += receipt.suppressed;
    answer.unbound += receipt.unbound;
    answer.discovered += receipt.known ? 0 : 1;
    if (receipt.rejected == 0) continue;
    ++answer.refused_rows;
    add_error(answer, numbers[i], receipt.reason, options_.rows.errors_max);
  }
  if (keyed)
    TRY(keys_.finish(who.organisation, who.name, request.idempotency_key, to_json_text(answer)));
  return answer;
}

}  // namespace penstock::interop::http
