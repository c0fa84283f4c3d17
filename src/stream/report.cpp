#include "stream/report.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/quoted.h"

namespace penstock::stream {

WireValue WireValue::of(std::string_view address, double value, Timestamp time) {
  WireValue made;
  made.address = address;
  made.number = value;
  made.source_time = time;
  return made;
}
WireValue WireValue::of(std::string_view address, int64_t value, Timestamp time) {
  WireValue made;
  made.address = address;
  made.kind = ValueKind::kInteger;
  made.integer = value;
  made.source_time = time;
  return made;
}
WireValue WireValue::of_boolean(std::string_view address, bool value, Timestamp time) {
  WireValue made;
  made.address = address;
  made.kind = ValueKind::kBoolean;
  made.integer = 0;  // all eight bytes
  made.boolean = value;
  made.source_time = time;
  return made;
}
WireValue WireValue::of(std::string_view address, std::string_view value, Timestamp time) {
  WireValue made;
  made.address = address;
  made.kind = ValueKind::kText;
  made.text = value;
  made.source_time = time;
  return made;
}

// -- a report that keeps its bytes

OwnedReport::OwnedReport(const Report& report)
    : sender_(report.sender), device_(report.device), origin_(report.origin) {
  size_t bytes = 0;
  for (const WireValue& value : report.values) bytes += value.address.size() + value.text.size();
  text_.reserve(bytes);
  entries_.reserve(report.values.size());
  const auto keep = [&](std::string_view text, uint32_t& at, uint32_t& size) {
    at = static_cast<uint32_t>(text_.size());
    size = static_cast<uint32_t>(text.size());
    text_.append(text);
  };
  for (const WireValue& value : report.values) {
    Entry entry;
    entry.value = value;
    keep(value.address, entry.address_at, entry.address_size);
    keep(value.text, entry.text_at, entry.text_size);
    entries_.push_back(entry);
  }
}

Report OwnedReport::view() const {
  const std::string_view text(text_);
  views_.clear();
  views_.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    WireValue value = entry.value;
    value.address = text.substr(entry.address_at, entry.address_size);
    value.text = text.substr(entry.text_at, entry.text_size);
    views_.push_back(value);
  }
  return {sender_, device_, origin_, views_};
}

size_t OwnedReport::bytes() const {
  return sizeof(OwnedReport) + device_.size() + origin_.size() + text_.size() +
         entries_.size() * sizeof(Entry);
}

// -- as JSON

void append_value(std::string& out, const WireValue& value) {
  if (value.null) {
    out.append("null");
    return;
  }
  switch (value.kind) {
    case ValueKind::kDouble:
      if (std::isfinite(value.number))
        fmt::format_to(std::back_inserter(out), "{}", value.number);
      else  // JSON has no word for it
        append_quoted(out, fmt::format("{}", value.number));
      return;
    case ValueKind::kInteger:
      fmt::format_to(std::back_inserter(out), "{}", value.integer);
      return;
    case ValueKind::kBoolean:
      out.append(value.boolean ? "true" : "false");
      return;
    case ValueKind::kText:
      append_quoted(out, value.text);
      return;
    case ValueKind::kObject:
      out.append(value.text.empty() ? "null" : value.text);
      return;
  }
}

namespace {

void append_message(std::string& out, std::span<const WireValue> values) {
  out.push_back('{');
  if (values.front().source_time.us != 0)
    out.append("\"ts\":\"").append(to_rfc3339(values.front().source_time)).append("\",");
  out.append("\"values\":{");
  bool all_good = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_quoted(out, values[i].address);
    out.push_back(':');
    append_value(out, values[i]);
    all_good = all_good && values[i].quality == Quality::kGood;
  }
  out.push_back('}');
  if (!all_good) {
    out.append(",\"quality\":{");
    bool first = true;
    for (const WireValue& value : values) {
      if (value.quality == Quality::kGood) continue;
      if (!first) out.push_back(',');
      first = false;
      append_quoted(out, value.address);
      out.append(":\"").append(twin::name(value.quality)).append("\"");
    }
    out.push_back('}');
  }
  out.push_back('}');
}

}  // namespace

void append_json(std::string& out, std::span<const WireValue> values) {
  if (values.empty()) {
    out.append("{}");
    return;
  }
  const auto same_time = [&](size_t i) {
    return values[i].source_time == values.front().source_time;
  };
  size_t end = 1;
  while (end < values.size() && same_time(end)) ++end;
  if (end == values.size()) {
    append_message(out, values);
    return;
  }
  out.push_back('[');
  for (size_t first = 0; first < values.size(); first = end) {
    if (first > 0) out.push_back(',');
    end = first + 1;
    while (end < values.size() && values[end].source_time == values[first].source_time) ++end;
    append_message(out, values.subspan(first, end - first));
  }
  out.push_back(']');
}

// -- names

std::string wire_name(std::string_view part) {
  std::string out;
  for (const char c : part) {
    const bool plain =
        c > ' ' && c < 0x7f && std::string_view("/+#\"\\%:").find(c) == std::string_view::npos;
    if (plain)
      out.push_back(c);
    else
      fmt::format_to(std::back_inserter(out), "%{:02X}",
                     static_cast<unsigned>(static_cast<uint8_t>(c)));
  }
  return out;
}

std::string wire_name(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) {
    if (!out.empty()) out.push_back(':');
    out.append(wire_name(part));
  }
  return out;
}

}  // namespace penstock::stream
