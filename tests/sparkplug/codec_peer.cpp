// The codec behind a pipe, for codec_oracle.mjs: reads a payload in hexadecimal a line; prints what
// it says as JSON, a tab, and the same payload as our encoder writes it, in hexadecimal; or "none".

#include <iostream>
#include <string>

#include "interop/sparkplug/text.h"

using namespace penstock;
using namespace penstock::interop::sparkplug;

namespace {

Bytes from_hex(const std::string& hex) {
  Bytes out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

std::string to_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte byte : bytes) {
    out.push_back(kDigits[static_cast<unsigned>(byte) >> 4]);
    out.push_back(kDigits[static_cast<unsigned>(byte) & 15]);
  }
  return out;
}

Bytes copy_metric(const Metric& metric);

Bytes copy_properties(ByteView set) {
  Bytes out;
  PropertyReader reader(set);
  Property property;
  while (reader.next(property)) {
    Bytes inner;
    if (property.value.form == ValueForm::kPropertySet) {
      inner = copy_properties(property.value.bytes);
      property.value.bytes = inner;
    } else if (property.value.form == ValueForm::kPropertySets) {
      PropertySetListReader list(property.value.bytes);
      ByteView one;
      while (list.next(one)) write_property_set(inner, copy_properties(one));
      property.value.bytes = inner;
    }
    write_property(out, property);
  }
  return out;
}

Bytes copy_dataset(ByteView message) {
  DataSet set;
  Bytes out;
  if (!read_dataset(message, set)) return out;
  write_dataset(out, std::span(set.column).first(set.columns),
                std::span(set.type).first(set.types));
  RowReader rows(message);
  while (rows.next_row()) {
    std::vector<WireScalar> cells;
    WireScalar cell;
    while (rows.next_cell(cell)) cells.push_back(cell);
    write_row(out, cells);
  }
  return out;
}

Bytes copy_template(ByteView message) {
  TemplateInfo info;
  Bytes out;
  if (!read_template(message, info)) return out;
  write_template(out, info);
  MetricReader members(message);
  Metric member;
  while (members.next(member)) append_bytes(out, copy_metric(member));
  ParameterReader parameters(message);
  Parameter parameter;
  while (parameters.next(parameter)) write_parameter(out, parameter);
  return out;
}

// Everything nested is read and written again, so that the writers are held against the oracle.
Bytes copy_metric(const Metric& in) {
  Metric metric = in;
  Bytes metadata, properties, value, out;
  MetaData data;
  if (!in.metadata.empty() && read_metadata(in.metadata, data)) {
    write_metadata(metadata, data);
    metric.metadata = metadata;
  }
  if (!in.properties.empty()) {
    properties = copy_properties(in.properties);
    metric.properties = properties;
  }
  if (in.value.form == ValueForm::kDataSet) value = copy_dataset(in.value.bytes);
  if (in.value.form == ValueForm::kTemplate) value = copy_template(in.value.bytes);
  if (in.value.form == ValueForm::kDataSet || in.value.form == ValueForm::kTemplate)
    metric.value.bytes = value;
  write_metric(out, metric);
  return out;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const Bytes payload = from_hex(line);
    std::string json;
    PayloadInfo info;
    if (!append_payload(json, payload) || !read_info(payload, info)) {
      std::cout << "none" << std::endl;
      continue;
    }
    Bytes again;
    write_info(again, info);
    MetricReader metrics(payload);
    Metric metric;
    while (metrics.next(metric)) append_bytes(again, copy_metric(metric));
    std::cout << json << '\t' << to_hex(again) << std::endl;
  }
  return 0;
}
