// Package e2e tests the program as its users run it: the built binary, real
// processes, real sockets, a real disk. It owns the processes it starts and
// ends each of them by pid. It exists for its tests.
//
// # Shapes
//
// Every test of what users see runs in both shapes: in one process with the
// embedded store, and with roles in processes of their own that share a store. The
// others are these; where they are about one shape, it is said which test is the
// same for the other. A test of package archtest holds the list to the tests.
//
//	TestSecondServerOnOneDirectory: the embedded store; TestTwoNodesWithOneName
//	TestDamagedDirectory: the embedded store; TestUnfitRedis
//	TestFullDisk: the embedded store; TestFullRedis
//	TestUnfitRedis, TestFullRedis, TestTwoNodesWithOneName: a shared store; see above
//	TestOlderRefuses: marks on a data directory; TestUnfitRedis
//	TestMailboxDies, TestGatewayDies: roles over the embedded store; TestCrash
//	TestOneOfTwoMailboxesDies, TestOneOfTwoMailboxesIsPaused, TestMailboxJoinsAndDrains: several nodes; TestCrash, TestRestart
//	TestMailboxIsCutOffFromTheStore, TestMailboxIsCutOffFromItsPeers, TestMailboxRefusesItsPeers: several nodes
//	TestMailboxesStartAtOnce, TestOneOfSeveralGatewaysDies: several nodes
//	TestGatewayIsCutOffFromTheMailbox, TestGatewayIsPaused: roles in processes of their own
//	TestRecovery: a measurement, of several nodes
//	TestRedisPrimaryDies, TestRollingRestart: a shared store; TestCrash, TestRestart
//	TestNodesStartWithoutAPrimary: several nodes over several servers
//	TestNodesStartBeforeTheirStore: a shared store, of each kind
//	TestCanary, TestRouter, TestScale: several nodes
//	TestServeOverRedis: a third shape, one process of several
//	TestServeOverPostgres: the same on another store; TestServeOverRedis
//	TestPostgresPrimaryDies: a shared store; TestCrash
//	TestTrace: one process and two; TestTraceAcrossNodes
//	TestTraceAcrossNodes: several nodes; TestTrace
//	TestTwoRegions, TestRegionsShareNames, TestRegionOfTwoProcesses, TestMoneyMovesWithItsUser: a process or two per region; TestRegionsOfSeveralNodes, TestAuditOfRegionsOnRedis
//	TestRegionsCutOff, TestRegionDies, TestMoveDuringChat, TestTraceAcrossRegions: a process per region; TestRegionsOfSeveralNodes
//	TestRegionsOfSeveralNodes: several nodes per region; TestMoveDuringChat, TestRegionDies
//	TestAuditOfRegionsOnRedis: several nodes per region; TestMoneyMovesWithItsUser
//	TestRelaysOfTheirOwn: several nodes per region; TestRegionsCutOff, TestRegionDies
//	TestStandby, TestAsyncStandbyLacksTheEnd, TestLinksAfterLostEnd: a process; TestStandbyOfSeveralNodes
//	TestStandbyOfSeveralNodes: several nodes; TestStandby
//	TestMetricsAreDocumented, TestPrometheus: every role at once
//	TestBadSettings, TestRules, TestShippedFilesNameRealMetrics, TestRecordRelease: no shape
//	TestMixedVersions: two versions, where there are two: roles, nodes, regions, standbys
//	TestCanaryGateways: several nodes
package e2e
