#include "interop/opcua/values.h"

#include <gtest/gtest.h>

namespace penstock::interop::opcua {
namespace {

using stream::Quality;
using stream::ValueKind;
using stream::WireValue;

Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

// What connectors/opcua/src/wire_test.ts expects of the encoder.
constexpr std::string_view kBatch =
    "50010164020003612f620100000040d00f000000000000f83f02016302000000400005";

TEST(OpcuaValuesTest, ReadsWhatTheConnectorWrites) {
  BatchReader reader;
  size_t devices = 0;
  const Status read = reader.read(from_hex(kBatch), {}, [&](std::string_view device, auto values) {
    ++devices;
    EXPECT_EQ(device, "d");
    ASSERT_EQ(values.size(), 2U);
    EXPECT_EQ(values[0].address, "a/b");
    EXPECT_EQ(values[0].kind, ValueKind::kDouble);
    EXPECT_EQ(values[0].number, 1.5);
    EXPECT_EQ(values[0].quality, Quality::kUncertain);
    EXPECT_EQ(values[0].source_time.us, 1000);
    EXPECT_EQ(values[1].address, "a/c");
    EXPECT_EQ(values[1].integer, -3);
    EXPECT_EQ(values[1].source_time.us, 1000);
  });
  EXPECT_TRUE(read) << read.error().text();
  EXPECT_EQ(devices, 1U);
}

TEST(OpcuaValuesTest, AnyCutIsAnErrorOrWholeAndNeverReadsOn) {
  const Bytes whole = from_hex(kBatch);
  BatchReader reader;
  for (size_t size = 0; size < whole.size(); ++size) {
    const Status read = reader.read(ByteView(whole).first(size), {}, [](std::string_view, auto) {});
    EXPECT_EQ(read.has_value(), size == 2) << size;
  }
}

TEST(OpcuaValuesTest, HostileCountsAreRefused) {
  BatchReader reader;
  for (const char* hex : {"5001016480808080808080808001", "500101640a", "500101640105026162",
                          "5002", "50010000", "5001016401000161090000000000"}) {
    const Status read = reader.read(from_hex(hex), {}, [](std::string_view, auto) {});
    EXPECT_FALSE(read) << hex;
  }
}

TEST(OpcuaValuesTest, QualityIsTheSeverity) {
  EXPECT_EQ(quality_of(0), Quality::kGood);
  EXPECT_EQ(quality_of(0x40920000), Quality::kUncertain);
  EXPECT_EQ(quality_of(0x808B0000), Quality::kBad);
  EXPECT_EQ(quality_of(0xC0000000), Quality::kBad);
}

}  // namespace
}  // namespace penstock::interop::opcua
