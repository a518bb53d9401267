"""What brokers of four versions answered when they were asked for their facts, in a topology with a bit of everything.

Queues `tasks` (classic, at most 50, dead-letters to `dead`; 55 were published), `dead` (at most 2, refuses more), `q` (quorum, dead-letters
to `dead`; from 3.10 on at least once, after 10 ms), `q2` (quorum), `s` (stream, from 3.10 on), and one with an unusual name. Exchange `x` with a
binding to `tasks`, one to exchange `y`, which is its alternate too. The client chaos-1f2e3d-0/worker-1.1 consumes from `tasks` and `q2` with a
prefetch of 3, and one without a name from `tasks` with 2. A policy on 3.10.8 and an operator policy on 4.3.6 allow `tasks` 20 messages. From 3.10 on,
17 messages were acknowledged.
"""

ANSWERS = {
    "3.8.9": (
        '["g1AAAAZgeNq9VMuO0zAUdZJ22sKIxYCQ2FXMDslhkhmm0iwQX4GEhDRyYufhpHbjODT9DX6AFWt+gN38EJ+AHSclfXeFsrDje3x9'
        "zvW5TsY5AGCYjOdqGGCCMAavBAqCVD6GOSrLNHwsKlIRDAZSVESj7cTR6MsazlENc8JimWAwKdOYEZwyiVrAsxryb0REOV9iMMo5i0"
        "spdOCFIJSEEi6qIE/LhFKVnHFG2iEZIRsB/WEwNlw+qQNGomIsZXHLxFC2CgxetnyLiotqvkPXWdNtIlCuFmSTz4XZaXCva6jLoHRJ"
        "SQQkdZggFm/tAAb7ZhMreCUVQZiR1Sa8KewemcOjMkcVyxhfMqPULvyTUq1zpe7hMkCO4mKdxWUoUZmVp53inHKK//9rDpuq26etdb"
        "Ukb1OBv06ffrOnX9M/P77/PK54z2HgtI+pLtSk7Rg0L1ycCtUcGFx0k0nFMIlSlbeHihBTyhWqm2yjwJEMVo3VHfJFGjZ/K7N6pfMa"
        "nmoiBQpJB9tNMdHgOZKhVpSoUhNR7qKea9Q6ehjXZGtPOnSitdqrlponaWh09d05bC5HrzjIfdfzoxMgoaofcJ53N27WI8437Nn2ky"
        "U1KxTk/Saz0CaU0j4HTXbc+bjJnbnX1HBtXKwivIRe5JNbDG/eL7nIlJs919PRa2/mu97MvXG9h7u7+1t/Cj9O12v+w4f7mU+NIPuf"
        '4nN3mj3qPTlOZDv1YaTRZSX9pgqyy89fKP0LLNvUDw=="]'
    ),
    "3.10.8": (
        '["g1AAAAvFeNrVVU2O0zAYdfrfYQaJYYTEBlUMsAClTDowRbNA3IINUuTEbuM0sVvboekFOAAXgA1rLsBuLsQRsOP0J52m7YwYJNSF'
        "Xfv5y/ve9z47aEUAgEbQitVQQxgiBE449DwiXT+CQhDfnSQ4wQjUJE+wRleCqkYfpnYMUzvCdCgDBNqCDClGhEqYAw5Sm33GfBCxKQ"
        "LNiNGhkFxv3Oc4xL60x4kXERGEoQpOGcX5EDRhBQL9Q6BluHxQH2jyhFJChzkTQ9maIPAw5ztJGE/ia3QbC7rZji1nY1zk0zAnDe5R"
        "amsZVF5SYm7j1A8gHa6dAAb7uIjlLJGKoD3CsyI8E/Zmomwko6BQ4uFa9CMoFQAKaTPqY3PwSBUHCwGHKl8ZFapzsEFvrXa9VO9mQk"
        "eUTamRvDLp7dTc2lfzDVxqsKrYWHtxscSSigqM4a2omJMlsuxlw7qEYiR2t051V+v07tiEoWngSmbFJQd4YpburZjGA9aX72FW8bGz"
        "1OREGwVWdmtyPMVPCUefOle/6NXPzu9vX39sF+h2Bcgyahsp2jCedCUbEx+pkpixnVCEB0RFNRgrne9l/2Z5W+qTA0iVeAg05pP1sx"
        "kKEa76VKHmk3XUsUYZvpoOhz4up3NPgwNVGcyVf5qL2TXasy28wBY2mSYxlH6wOXzuiLrRZtXM9aw4eqUKuy9X7Fv1IFfqe4xF84qb"
        "9QFjBTfnvWdJnT/0otWGtGARGoarHHS6rbnts9ij7mlouGamVztM2M6gh8+RffZ6yvhImd/pOnr31On3uk6/e9Z1Lt+cv+tfdOz3nc"
        "Xa+eXbi34vNAlVlhlvj2uQ6vLbB7YMuDcVK1jtKb1SD6qlDXMIpRszIV195eeZIPAsb1/h6l53zY2AkYvTMdGjZBJGEGjoaQlU3Qnq"
        "SsiRTzTyeQnSvFfLqOEWui1EhK4/ujOq4MZUNz9h6jF1s8d0oWxNR35REtlndEB4XCT8qgSMcETU2z9zIxKrD6+c2E+N+l/K8Zp5an"
        'fJ+t/XsOC2/zK3cMOV4I0OPx7N16eLZfgg/AOav7KW"]'
    ),
    "4.0.5": (
        '["g1AAAAugeNrVVd1u0zAUTtqkP2NDYiAk7ioGXIBS1rIxsQvEU3CFFDmJ2zhN7NZ2cPoavABXXPMC3O2FeATsOOuSZiFdJUCoUt3a'
        "3zn+znd+HA5iwzB64SCRixVAEIhHFHge4q4fA8aQ765SmEJhcZpChe2GXYU9zJwEZE4M8ZyHYsjQHMMAYQ46+vwgc8hnSGcxEaIfEz"
        "xnnKr9+xRG0OfOMvVixMKNs/wWh6+XsALvFyyiSFiYYKi/wz7oAEN9xECz/RCKPk0xRniuqeqIzJV4WISzSglNk+1oem0EetpOwx5n"
        "jpJIRs05pA7M/BDgedXA0NAnVSglKZfcnAVcV9C55HsotsVEQgGH86rvI8DlOWDcIdiH2u5Ipg0yBuYyVB6X83ZQk1gJbLdK3FlNWz"
        "Q2d9S4RsACXUnBbMsx29wv/UGwx/3a7lYB2mvM5oAtWFvbWH+hghp7crp3mzmqAkCnRYJjAZ8iGnwaXf3AV99HP79++damh7k3pbas"
        "RMr9ULu/B5LVOJQCQcpE//rHMMUBnCEpjkYNFYqTJfKFrZdthCF6AaKyC2snZlbY5H/WRSsrh4VBo+Fa9GYAy6zezicB3A+bOR8rjF"
        "ZAkafAh03kczbFVfUrc7k6oa2DKRW0nSdGbXTB+GVp9Hc9QIXlERIXNaB3Z4SUa65IsMklLeDF5aSboAKMovLtUpfBdVvkfhfjk0iT"
        "zLtCnhDmTGZT+CZwTl8LQheyOybjiTo9mVxMx5OL8el4cnn+7vxsOnLejzZ7Z5fnby+mkQ6lUwyv3zvVMK3Irhds2zR7j7QopfZSG3"
        "bYbeieQ8DdhDDuqoFehCFOioHOXDUJXD0uYODKUSAngcsJBzGwJfBZAxBmS6RWjTQk8nkDUr9EN9CokekgQExlPbgTS+OPsbz1hZIP"
        'pJs/kBs9rZ0J2HcgIKGvGqABjJF89NdujBJJ78bgRYOBT/AM0WSH6GrFYv3bNNxZhcbIKsX130UV1bveWxx+XNS3wYPoF0k70rs="]'
    ),
    "4.3.6": (
        '["g1AAAAw0eNrVVt1u0zAYTdr0Z2PjZwwk7ioKXIBS1o5t0i4QT8EVUuQmbuLUsVvbmdvX4AW44poX4G4vxCNgx1nbtM3STQKEKjWp'
        "fWyfc77v89eojS3LakbtRD2cAIJAHjMwHCLh+RhwjnxvmsIUSkewFGpsPapr7MHMTcDMxZCEIpJ7HIUEBogIUDPz+zOXXkE2wlTKFq"
        "Yk5ILp8YcMxtAX7iQdYsSjxWbZKa6YT2AB3spZxLF0CCXQfEctUAOW/si2Yfspki2WEoJIaKgaRfZUPs3lTFPK0mRdTbOKQNOsM7Dn"
        "M1dbpFQLAZkLZ34ESFhcYBnoiyKU0VQobu4YzgvozPJ7OLbGREGBgGFx70Mg1DzgwqXEh2bdoQob5ByESqrAq3Hb37BYG9yotLg2HV"
        "R4bO/o8QYBB9QVBbsqxnxxvtoPgnucb9ZtNaA6xxoC8DGvKhvnL2RQaU0Odi4z41cty8flXuA4tyYLOJ0obx7p1AC1Cm+OJHyJWPCl"
        "c/2TXP/o/Pr29XuVUfa9r4SqcGXi9s32lmwGiKmyknspCeAIKafyMgTJtJfP3YoZAaJCIpv5cx3zQGMiFRvIuGzdvKyj9jQqAcKPyj"
        "GPNcZoUi+YhrIh6AT5G8CjAlBdCT4sg2bnmqkShD3LZ7If83xwvkVv5mstaphVKyXRyCKoB+qg93aledSHgElnSCnOk8WMjihdzdo8"
        "E2yhiIAhXs0OGxSAcbx6uiLZvimsbN9xrxsbklldqRnK3f5oAE8D9+S9pGys6qvf6+vZbv9i0Otf9E56/cvT85PzDx33Y2cxdnZ5dn"
        "4xiI2U2lLq7fuuI3c5w6xRl+vtW98U7DLp865WUmYHQHgJ5cLTLSGXIbt5S+Cevks8c+HAwFMXgKp/T1ABMOgq4KsSIJxNkH4apKWQ"
        "r0uQppctoXEp03aAuI56cCeW1h9jubXHqRbrZS124aezM4HGHQgo6LsSaAAxUn8b5h5GiaK3XPCmZIFPyQixZAd1G8ni/Nsw3NmFUm"
        'WF5PofVT3LVV1RDATCcJsue2ddcbx5jwzHB5+TzWHwJP4NJ8QDiA=="]'
    ),
}
