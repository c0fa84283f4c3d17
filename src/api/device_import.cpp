#include "api/device_import.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/csv.h"
#include "twin/names.h"

namespace penstock::api {
namespace {

constexpr uint32_t kRowsMax = 10'000;
constexpr std::string_view kColumns[] = {
    "name",     "site",   "model", "display_name",  "binding",
    "protocol", "parent", "twin",  "stale_after_s", "certificate_only"};
constexpr std::string_view kProtocols[] = {"mqtt", "http", "sparkplug", "lwm2m", "opcua"};

std::string_view take_record(std::string_view& rest) {
  bool quoted = false;
  size_t end = 0;
  for (; end < rest.size() && (quoted || rest[end] != '\n'); ++end)
    if (rest[end] == '"') quoted = !quoted;
  std::string_view record = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (record.ends_with('\r')) record.remove_suffix(1);
  return record;
}

// One row's fields, and what is wrong with them.
class Row {
 public:
  Row(DeviceImport& out, uint32_t line) : out_(out), line_(line) {}
  void complain(std::string_view column, std::string message) {
    out_.errors.push_back({line_, std::string(column), std::move(message)});
  }
  void put(std::string_view column, const std::string& text) {
    twin::DeviceDraft& d = draft;
    if (text.empty()) return;
    if (column == "name") d.name = text;
    if (column == "site") d.site = text;
    if (column == "model") d.model = text;
    if (column == "display_name") d.display_name = text;
    if (column == "binding") d.binding = text;
    if (column == "protocol") d.protocol = text;
    if (column == "parent") d.parent = text;
    if (column == "twin") d.twin = text;
    if (column.starts_with("label.")) d.labels[std::string(column.substr(6))] = text;
    if (column == "certificate_only") {
      d.certificate_only = text == "true" || text == "yes" || text == "1";
      if (!d.certificate_only && text != "false" && text != "no" && text != "0")
        complain(column, "is true or false");
    }
    if (column == "stale_after_s") {
      double seconds = 0;
      const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
      if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !(seconds >= 0) ||
          seconds > 366 * 86'400)
        complain(column, "is a number of seconds, at most a year");
      else
        d.stale_after_ms = static_cast<int64_t>(seconds * 1000);
    }
  }
  void check(const twin::TwinRegistry& twins, OrganisationId organisation,
             std::set<std::string>& names, std::set<std::string>& fed) {
    const auto& d = draft;
    if (d.name.empty()) return complain("name", "is missing");
    if (const auto good = twin::check_device_name(d.name); !good)
      complain("name", good.error().message);
    else if (twins.device(d.name))
      complain("name", "is registered already");
    else if (!names.insert(d.name).second)
      complain("name", "is in the file twice");
    if (!d.twin.empty()) {
      const auto twin = twins.twin(organisation, d.twin);
      if (!twin)
        complain("twin", "there is no such twin");
      else if (!(*twin)->device.empty())
        complain("twin", "is fed by " + (*twin)->device + " already");
      else if (!fed.insert(d.twin).second)
        complain("twin", "is in the file twice");
    } else {
      if (!twins.site(organisation, d.site))
        complain("site", d.site.empty() ? "is missing" : "there is no such site");
      if (!twins.model(organisation, d.model))
        complain("model", d.model.empty() ? "is missing" : "there is no such model");
      if (!d.parent.empty() && !twins.twin(organisation, d.parent))
        complain("parent", "there is no such twin");
    }
    if (!d.binding.empty() && !twins.binding(organisation, d.binding))
      complain("binding", "there is no such binding");
    if (std::find(std::begin(kProtocols), std::end(kProtocols), d.protocol) == std::end(kProtocols))
      complain("protocol", "is mqtt, http, sparkplug, lwm2m or opcua");
  }
  twin::DeviceDraft draft;

 private:
  DeviceImport& out_;
  uint32_t line_;
};

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

Result<DeviceImport> read_device_csv(const twin::TwinRegistry& twins, OrganisationId organisation,
                                     std::string_view csv) {
  if (csv.starts_with("\xEF\xBB\xBF")) csv.remove_prefix(3);
  const std::string_view first = take_record(csv);
  const char separator = csv_separator(first);
  std::vector<std::string> header;
  if (!split_csv(first, separator, header) || header.empty() || header.size() > 200)
    return fail(ErrorCode::kInvalidArgument, "the first line is no header", "csv");
  for (const std::string& column : header)
    if (std::find(std::begin(kColumns), std::end(kColumns), column) == std::end(kColumns) &&
        !(column.starts_with("label.") && column.size() > 6))
      return fail(ErrorCode::kInvalidArgument,
                  "no such column: name, site, model, display_name, binding, protocol, parent, "
                  "twin, stale_after_s, certificate_only and label.KEY are",
                  column.substr(0, 80));
  DeviceImport out;
  std::set<std::string> names, fed;
  std::vector<std::string> fields;
  for (uint32_t line = 2; !csv.empty(); ++line) {
    const std::string_view record = take_record(csv);
    const auto lines_within = static_cast<uint32_t>(std::count(record.begin(), record.end(), '\n'));
    if (!record.empty()) {
      if (++out.rows > kRowsMax)
        return fail(ErrorCode::kInvalidArgument, "at most 10,000 rows at once", "csv");
      Row row(out, line);
      fields.clear();
      if (!split_csv(record, separator, fields)) {
        row.complain("", "a quote is left open");
      } else if (fields.size() != header.size()) {
        row.complain("", "has another number of fields than the header");
      } else {
        for (size_t i = 0; i < header.size(); ++i) row.put(header[i], fields[i]);
        row.check(twins, organisation, names, fed);
        out.drafts.push_back(std::move(row.draft));
        out.lines.push_back(line);
      }
    }
    line += lines_within;
  }
  return out;
}

std::string credentials_csv(const std::vector<twin::DeviceCreated>& made) {
  std::string out = "name,token,site,twin\r\n";
  for (const auto& one : made)
    out += csv_field(one.device->name) + "," + one.token + "," +
           csv_field(one.twin ? one.twin->site_name : "") + "," +
           csv_field(one.twin ? one.twin->name : "") + "\r\n";
  return out;
}

}  // namespace penstock::api
