#include "interop/sparkplug/payload.h"

#include <string>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/json.h"
#include "base/testing/allocations.h"
#include "interop/sparkplug/text.h"
#include "interop/sparkplug/values.h"

namespace penstock::interop::sparkplug {
namespace {

Metric named(std::string_view name, DataType type, WireScalar value) {
  Metric metric;
  metric.name = name;
  metric.has_name = true;
  metric.type = type;
  metric.value = value;
  return metric;
}

Bytes payload_of(std::initializer_list<Metric> metrics, uint64_t seq = 0) {
  Bytes out;
  PayloadInfo info;
  info.has_timestamp = info.has_seq = true;
  info.timestamp_ms = 1'700'000'000'000;
  info.seq = seq;
  write_info(out, info);
  for (const Metric& metric : metrics) write_metric(out, metric);
  return out;
}

Json as_json(const Bytes& payload) {
  std::string text;
  EXPECT_TRUE(append_payload(text, payload)) << text;
  auto json = parse_json(text);
  EXPECT_TRUE(json) << text;
  return json ? *json : Json();
}

RC_GTEST_PROP(SparkplugPayload, WhatIsWrittenIsRead, ()) {
  Metric in;
  const auto name_text = *rc::gen::arbitrary<std::string>();
  in.has_name = *rc::gen::arbitrary<bool>();
  if (in.has_name) in.name = name_text;
  in.has_alias = *rc::gen::arbitrary<bool>();
  if (in.has_alias) in.alias = *rc::gen::arbitrary<uint64_t>();
  in.has_timestamp = *rc::gen::arbitrary<bool>();
  if (in.has_timestamp) in.timestamp_ms = *rc::gen::arbitrary<uint64_t>();
  in.type = static_cast<DataType>(*rc::gen::inRange<uint32_t>(0, kDataTypes));
  in.historical = *rc::gen::arbitrary<bool>();
  in.transient = *rc::gen::arbitrary<bool>();
  in.null = *rc::gen::arbitrary<bool>();
  const auto bytes = *rc::gen::arbitrary<std::string>();
  const auto bits = *rc::gen::arbitrary<uint64_t>();
  in.value.form = static_cast<ValueForm>(*rc::gen::inRange(0, 8));
  switch (in.value.form) {
    case ValueForm::kInt:
    case ValueForm::kFloat:
      in.value.bits = bits & 0xFFFFFFFF;
      break;
    case ValueForm::kBoolean:
      in.value.bits = bits & 1;
      break;
    case ValueForm::kLong:
    case ValueForm::kDouble:
      in.value.bits = bits;
      break;
    case ValueForm::kString:
    case ValueForm::kBytes:
      in.value.bytes = as_bytes(bytes);
      break;
    default:
      break;
  }
  const Bytes wire = payload_of({in, in}, bits);
  PayloadInfo info;
  RC_ASSERT(read_info(wire, info));
  RC_ASSERT(info.seq == bits);
  RC_ASSERT(info.metrics == 2U);
  MetricReader reader(wire);
  Metric out;
  RC_ASSERT(reader.next(out));
  RC_ASSERT(reader.next(out));
  RC_ASSERT(out.has_name == in.has_name && out.name == in.name);
  RC_ASSERT(out.has_alias == in.has_alias && out.alias == in.alias);
  RC_ASSERT(out.has_timestamp == in.has_timestamp && out.timestamp_ms == in.timestamp_ms);
  RC_ASSERT(out.type == in.type && out.null == in.null);
  RC_ASSERT(out.historical == in.historical && out.transient == in.transient);
  RC_ASSERT(out.value.form == in.value.form && out.value.bits == in.value.bits);
  RC_ASSERT(as_text(out.value.bytes) == as_text(in.value.bytes));
  RC_ASSERT(!reader.next(out) && reader.ok());
  // Cut anywhere, it is read up to the cut or refused; it is never read beyond.
  const auto cut = *rc::gen::inRange<size_t>(0, wire.size());
  MetricReader shorter(ByteView(wire).first(cut));
  while (shorter.next(out)) {
  }
}

TEST(SparkplugPayload, ReadsWhatIsNested) {
  Bytes properties, inner, list;
  write_property(inner, {"deep", DataType::kInt8, false, WireScalar::of_int(0xFFFFFFFF)});
  write_property_set(list, inner);
  write_property(properties, {"Quality", DataType::kInt32, false, WireScalar::of_int(500)});
  write_property(properties, {"none", DataType::kString, true, {}});
  write_property(properties, {"set", DataType::kPropertySet, false,
                              WireScalar::of_bytes(ValueForm::kPropertySet, inner)});
  write_property(properties, {"list", DataType::kPropertySetList, false,
                              WireScalar::of_bytes(ValueForm::kPropertySets, list)});
  Bytes dataset;
  const std::string_view columns[] = {"a", "b"};
  const DataType types[] = {DataType::kInt16, DataType::kString};
  write_dataset(dataset, columns, types);
  const WireScalar row[] = {WireScalar::of_int(0xFFFE), WireScalar::of_text("x\"y")};
  write_row(dataset, row);
  Bytes udt;
  write_template(udt, {"v1", "Pump", false});
  write_metric(udt, named("speed", DataType::kDouble, WireScalar::of_double(2.5)));
  write_parameter(udt, {"serial", DataType::kString, WireScalar::of_text("77")});
  Bytes file;
  write_metadata(file, {false, "text/plain", "a.txt", "txt", "", "", 3, 0});

  Metric first = named("t", DataType::kInt8, WireScalar::of_int(0xFFFFFFFF));
  first.properties = properties;
  Metric third =
      named("file", DataType::kFile, WireScalar::of_bytes(ValueForm::kBytes, as_bytes("abc")));
  third.metadata = file;
  const Json json = as_json(payload_of(
      {first, named("ds", DataType::kDataSet, WireScalar::of_bytes(ValueForm::kDataSet, dataset)),
       third,
       named("pump", DataType::kTemplate, WireScalar::of_bytes(ValueForm::kTemplate, udt))}));
  const Json& metrics = json["metrics"];
  EXPECT_EQ(metrics[0]["value"], -1);
  EXPECT_EQ(metrics[0]["properties"]["Quality"]["value"], 500);
  EXPECT_EQ(metrics[0]["properties"]["none"]["value"], nullptr);
  EXPECT_EQ(metrics[0]["properties"]["set"]["value"]["deep"]["value"], -1);
  EXPECT_EQ(metrics[0]["properties"]["list"]["value"][0]["deep"]["value"], -1);
  EXPECT_EQ(metrics[1]["value"]["rows"], Json::parse(R"([[-2,"x\"y"]])"));
  EXPECT_EQ(metrics[2]["value"], "YWJj");
  EXPECT_EQ(metrics[2]["metadata"]["file_name"], "a.txt");
  EXPECT_EQ(metrics[3]["value"]["metrics"][0]["value"], 2.5);
  EXPECT_EQ(metrics[3]["value"]["parameters"][0]["value"], "77");
}

// 6.4.17's own examples of arrays.
TEST(SparkplugPayload, ReadsArrays) {
  const auto array = [](DataType type, std::initializer_list<int> bytes) {
    Bytes packed;
    for (const int byte : bytes) packed.push_back(static_cast<std::byte>(byte));
    std::string out;
    return append_array(out, type, packed, 1000) ? out : "refused";
  };
  EXPECT_EQ(array(DataType::kInt8Array, {0xEF, 0x7B}), "[-17,123]");
  EXPECT_EQ(array(DataType::kInt16Array, {0xD0, 0x8A, 0x30, 0x75}), "[-30000,30000]");
  EXPECT_EQ(array(DataType::kUInt8Array, {0x17, 0xFA}), "[23,250]");
  EXPECT_EQ(array(DataType::kUInt32Array, {0x34, 0, 0, 0}), "[52]");
  EXPECT_EQ(array(DataType::kBooleanArray, {0x0C, 0, 0, 0, 0x34, 0xD0}),
            "[false,false,true,true,false,true,false,false,true,true,false,true]");
  EXPECT_EQ(array(DataType::kStringArray, {0x41, 0x42, 0, 0x43, 0}), "[\"AB\",\"C\"]");
  EXPECT_EQ(array(DataType::kDateTimeArray, {0xC7, 0xD0, 0x90, 0x75, 0x24, 1, 0, 0}),
            "[\"2009-10-21T05:27:55.335Z\"]");
  EXPECT_EQ(array(DataType::kFloatArray, {0, 0, 0x80, 0x3F}), "[1]");
  EXPECT_EQ(array(DataType::kInt64Array, {1, 0, 0}), "refused");
  EXPECT_EQ(array(DataType::kBooleanArray, {0xFF, 0xFF, 0xFF, 0xFF, 1}), "refused");
  EXPECT_EQ(array(DataType::kStringArray, {0x41}), "refused") << "without its end";
}

TEST(SparkplugPayload, RefusesWhatIsNone) {
  PayloadInfo info;
  const auto reads = [&](std::string_view text) { return read_info(as_bytes(text), info); };
  EXPECT_TRUE(reads("")) << "all members are optional";
  EXPECT_FALSE(reads("{\"a\":1}"));
  EXPECT_FALSE(reads(std::string_view("\x12\x7f", 2))) << "longer than the message";
  EXPECT_FALSE(reads(std::string_view("\x02\x00", 2))) << "field 0";
  EXPECT_FALSE(reads(std::string_view("\x0b\x0c", 2))) << "groups";
  EXPECT_FALSE(reads("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) << "eleven bytes";
}

// -- values

TEST(SparkplugValues, NamesTypesAndTimesOfTheBirth) {
  Dictionary known;
  known.add({"temp", DataType::kInt16, 7, true});
  Metric metric;
  metric.has_alias = true;
  metric.alias = 7;
  metric.value = WireScalar::of_int(0xFFFFFFFE);
  Metric unknown = metric;
  unknown.alias = 8;
  MetricValues values;
  const Bytes wire = payload_of({metric, unknown});
  ASSERT_TRUE(values.add_all(wire, known, 1'700'000'000'000));
  const auto read = values.values();
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].address, "temp");
  EXPECT_EQ(read[0].integer, -2);
  EXPECT_EQ(read[0].source_time, Timestamp::from_millis(1'700'000'000'000));
  EXPECT_EQ(values.outcome().rejected, 1U);
  EXPECT_EQ(values.outcome().first_reject, MetricReject::kUnknownAlias);
  EXPECT_EQ(values.outcome().first_alias, 8U);
}

TEST(SparkplugValues, TemplatesAreFlat) {
  Bytes inner, outer;
  write_template(inner, {"", "Motor", false});
  write_metric(inner, named("amps", DataType::kFloat, WireScalar::of_float(1.5F)));
  write_template(outer, {"", "Pump", false});
  write_metric(outer, named("motor", DataType::kTemplate,
                            WireScalar::of_bytes(ValueForm::kTemplate, inner)));
  write_metric(outer, named("on", DataType::kBoolean, WireScalar::of_boolean(true)));
  write_parameter(outer, {"serial", DataType::kString, WireScalar::of_text("77")});
  MetricValues values;
  const Bytes wire = payload_of(
      {named("P1", DataType::kTemplate, WireScalar::of_bytes(ValueForm::kTemplate, outer))});
  Dictionary known;
  ASSERT_TRUE(values.add_all(wire, known, 0));
  const auto read = values.values();
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].address, "P1/motor/amps");
  EXPECT_EQ(read[0].number, 1.5);
  EXPECT_EQ(read[1].address, "P1/on");
  EXPECT_EQ(read[2].address, "P1/Parameters/serial");
  EXPECT_EQ(read[2].text, "77");
  ASSERT_TRUE(values.learn(wire, 100, known));
  EXPECT_NE(known.by_name("P1/motor/amps"), nullptr);
  Dictionary small;
  EXPECT_FALSE(values.learn(wire, 2, small)) << "more metrics than the limit";
}

TEST(SparkplugValues, QualityOfIgnitionAndOpc) {
  using stream::Quality;
  EXPECT_EQ(quality_of_code(192), Quality::kGood);
  EXPECT_EQ(quality_of_code(500), Quality::kUncertain);
  EXPECT_EQ(quality_of_code(0), Quality::kBad);
  EXPECT_EQ(quality_of_code(64), Quality::kUncertain);
  EXPECT_EQ(quality_of_code(-2147483136), Quality::kBad) << "Ignition's Bad_Stale";
  EXPECT_EQ(quality_of_code(0x40000000), Quality::kUncertain);
}

TEST(SparkplugValues, TheWarmPathAllocatesNothing) {
  Dictionary known;
  Bytes wire;
  for (uint64_t i = 0; i < 200; ++i) {
    known.add({"folder/metric " + std::to_string(i), DataType::kDouble, i, true});
    Metric metric;
    metric.has_alias = true;
    metric.alias = i;
    metric.value = WireScalar::of_double(static_cast<double>(i));
    write_metric(wire, metric);
  }
  write_metric(wire, named("list", DataType::kInt8Array,
                           WireScalar::of_bytes(ValueForm::kBytes, as_bytes("abc"))));
  MetricValues values;
  const auto read = [&] {
    values.clear();
    return values.add_all(wire, known, 5) && values.values().size() == 201;
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(read());
  const uint64_t before = testing_allocations();
  const bool good = read();
  EXPECT_EQ(testing_allocations() - before, 0U);
  EXPECT_TRUE(good);
}

}  // namespace
}  // namespace penstock::interop::sparkplug
